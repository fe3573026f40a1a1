<%
    code = f"{upgrades} {downgrades}"
%>"""${message[:1].upper() + message[1:]}."""

% if "sa." in code:
import sqlalchemy as sa
% endif
% if "op." in code:
from alembic import op
% endif
${imports if imports else ""}
% if "types." in code:
from myapp.core.stores.sql import types
% endif

revision = "${up_revision}"
down_revision = ${f'"{down_revision}"' if down_revision else None}


def upgrade() -> None:
    """Forward."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Back."""
    ${downgrades if downgrades else "pass"}
