"""CEL, by the name that the core's rooms know it by; plug-ins may use it too, so it lies with them."""

from aiops.plugin.expression import LEVELS, MAX_LENGTH, Expression, ExpressionError

__all__ = ["LEVELS", "MAX_LENGTH", "Expression", "ExpressionError"]
