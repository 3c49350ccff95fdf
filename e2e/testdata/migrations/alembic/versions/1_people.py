"""People."""
import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade():
    people = op.create_table("alembic_people", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text, nullable=False))
    op.create_index("alembic_people_name", "alembic_people", ["name"])
    op.bulk_insert(people, [{"name": "Ada"}, {"name": "Grace"}])


def downgrade():
    op.drop_table("alembic_people")
