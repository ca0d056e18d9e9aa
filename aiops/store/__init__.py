"""What outlives the process: SQLAlchemy tables, repositories, migrations, checkpoint files."""
