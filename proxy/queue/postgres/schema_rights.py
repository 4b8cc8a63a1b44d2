"""The rights that a database user lacks to make our tables, as statements for a person who may grant them."""

from proxy.queue.postgres.session import Session

_LACKS = """
SELECT quote_ident(current_user) AS me, quote_ident($1) AS schema, n.oid IS NOT NULL AS is_there,
  coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create,
  ARRAY(SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = n.oid AND relkind = 'r'
    AND NOT pg_has_role(relowner, 'USAGE') ORDER BY relname) AS foreign_tables
FROM (SELECT) one LEFT JOIN pg_namespace n ON nspname = $1"""


async def missing_grants(session: Session, schema: str) -> str:
    """Return the statements that give the session's user the rights it lacks; empty if it lacks none.

    Raises:
        QueueError: when that cannot be read.
    """
    lacks = (await session.fetch(_LACKS, schema))[0]
    me, name = lacks["me"], lacks["schema"]
    if not lacks["is_there"]:
        return f"CREATE SCHEMA {name} AUTHORIZATION {me};"
    statements = [] if lacks["may_create"] else [f"GRANT USAGE, CREATE ON SCHEMA {name} TO {me};"]
    statements += [f"ALTER TABLE {name}.{table} OWNER TO {me};" for table in lacks["foreign_tables"]]
    return " ".join(statements)
