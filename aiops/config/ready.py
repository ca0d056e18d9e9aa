"""Limits that are ready for metrics that everybody has, by where the metrics come from."""

from typing import Any, Literal, TypeAlias

Ready: TypeAlias = Literal["host", "node_exporter", "blackbox", "process", "kubernetes"]

_REAL = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|fuse.*|nsfs|autofs"'
_LITTLE, _MUCH = {"below": 0.05}, {"above": 0.9}
_WEEK = {"below": 7 * 86400}


def _share(
    name: str, match: str, of: str, breach: dict[str, Any], horizon: str, **more: Any
) -> dict[str, Any]:
    return {"name": name, "match": match, "share_of": of, "breach": breach, "horizon": horizon, **more}


READY: dict[Ready, list[dict[str, Any]]] = {
    "host": [
        {"name": "disk space", "match": "host_filesystem_free_ratio", "breach": _LITTLE, "horizon": "3d"},
        {"name": "inodes", "match": "host_filesystem_inodes_free_ratio", "breach": _LITTLE, "horizon": "3d"},
        {
            "name": "memory",
            "match": "host_memory_available_ratio",
            "breach": {**_LITTLE, "for": "10s"},
            "horizon": "30m",
            "severity": "critical",
        },
        {"name": "open files", "match": "host_files_open_ratio", "breach": _MUCH, "horizon": "1d"},
        {"name": "connections", "match": "host_conntrack_used_ratio", "breach": _MUCH, "horizon": "6h"},
    ],
    "node_exporter": [
        _share(
            "node disk space",
            f"node_filesystem_avail_bytes{{{_REAL}}}",
            "node_filesystem_size_bytes",
            _LITTLE,
            "3d",
        ),
        _share(
            "node inodes", f"node_filesystem_files_free{{{_REAL}}}", "node_filesystem_files", _LITTLE, "3d"
        ),
        _share(
            "node memory",
            "node_memory_MemAvailable_bytes",
            "node_memory_MemTotal_bytes",
            {**_LITTLE, "for": "1m"},
            "1h",
            severity="critical",
        ),
        _share("node open files", "node_filefd_allocated", "node_filefd_maximum", _MUCH, "1d"),
        _share(
            "node connections", "node_nf_conntrack_entries", "node_nf_conntrack_entries_limit", _MUCH, "6h"
        ),
    ],
    "blackbox": [
        {
            "name": "certificate",
            "match": "probe_ssl_earliest_cert_expiry",
            "until": True,
            "breach": _WEEK,
            "horizon": "7d",
        },
        {
            "name": "probe",
            "match": "probe_success",
            "breach": {"below": 1, "for": "1m"},
            "severity": "critical",
        },
    ],
    "process": [
        _share("open files of a process", "process_open_fds", "process_max_fds", _MUCH, "1d"),
    ],
    "kubernetes": [
        _share(
            "volume",
            "kubelet_volume_stats_available_bytes",
            "kubelet_volume_stats_capacity_bytes",
            _LITTLE,
            "3d",
        ),
        _share(
            "volume inodes", "kubelet_volume_stats_inodes_free", "kubelet_volume_stats_inodes", _LITTLE, "3d"
        ),
        _share(
            "quota",
            'kube_resourcequota{type="used"}',
            'kube_resourcequota{type="hard"}',
            {"above": 0.95},
            "3d",
        ),
        _share(
            "container memory",
            'container_memory_working_set_bytes{container!=""}',
            "container_spec_memory_limit_bytes",
            {"above": 0.95, "for": "30s"},
            "1h",
        ),
        {
            "name": "certificate of cert-manager",
            "match": "certmanager_certificate_expiration_timestamp_seconds",
            "until": True,
            "breach": _WEEK,
            "horizon": "7d",
        },
    ],
}
