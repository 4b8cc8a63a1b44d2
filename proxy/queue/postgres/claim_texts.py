"""Statements by which a leader reads what it claims. Claims write nothing.

Each reads so many segments by the index of the lane, measures them without a look at what is sealed, and returns those
that fit; ``looked`` says how many it read. A claim takes the first of them in any case.
"""

FACTS = "id, n, attempts, strikes, at, suspect, fields, skip, sealed"
"""What is read of a segment."""
MOST_BYTES = 3 << 20
"""Of payloads as Graph gets them; the last segment of a claim may pass them by what it has itself."""


def _measured(segments: str, way: str, condition: str) -> str:
    return f"""
    SELECT {FACTS}, looked, (SELECT number FROM meta WHERE key = 'marks') AS marks FROM (
      SELECT *, sum(n) OVER w - n AS before, sum(length(sealed)) OVER w - length(sealed) AS bytes,
        count(*) OVER () AS looked
      FROM (SELECT {FACTS} FROM segment WHERE {segments} ORDER BY at {way}, id {way} LIMIT $5::int8) s
      WINDOW w AS (ORDER BY at {way}, id {way})
    ) measured WHERE before = 0 OR (bytes < {MOST_BYTES} AND {condition}) ORDER BY at {way}, id {way}
    """  # noqa: S608 - our own text


_DUE = "lane = $1::text AND fields = $2::bytea AND not_before = 0 AND id <> ALL($4::uuid[])"
_FRESH = f"{_DUE} AND suspect = 0 AND (at, id) > ($6::int8, $7::uuid)"
OLDEST = _measured(_FRESH, "ASC", "before + n <= $3::int8")
NEWEST = _measured(_FRESH, "DESC", "before + n <= $3::int8")
"""Of fresh events; arguments: lane, fields, how many events, ids left out, how many segments, the floor."""

# Those that may ride in the largest batches; as "<> 0" this would read the fresh segments too.
_TOP = (
    "(SELECT suspect FROM segment WHERE lane = $1::text AND fields = $2::bytea AND not_before = 0"
    " AND id <> ALL($4::uuid[]) AND suspect {sign} 0 ORDER BY suspect DESC, at DESC, id DESC LIMIT 1)"
)
_BOUND = f"coalesce({_TOP.format(sign='>')}, {_TOP.format(sign='<')})"
SUSPECTS = _measured(f"{_DUE} AND suspect = {_BOUND}", "DESC", "before < least($3::int8, abs(suspect))")
"""Arguments: lane, fields, how many events, ids left out, how many segments."""

_OF_LANE = "FROM segment s WHERE s.lane = $1::text AND s.not_before = 0 AND s.fields"
# By the index, one look for each of the few.
FIELDS = f"""
WITH RECURSIVE found(fields) AS (
  SELECT (SELECT s.fields {_OF_LANE} > '' ORDER BY s.fields LIMIT 1)
  UNION ALL
  SELECT (SELECT s.fields {_OF_LANE} > found.fields ORDER BY s.fields LIMIT 1) FROM found
  WHERE found.fields IS NOT NULL)
SELECT fields, EXISTS (SELECT {_OF_LANE} = found.fields AND suspect = 0) AS fresh,
  EXISTS (SELECT {_OF_LANE} = found.fields AND suspect > 0)
  OR EXISTS (SELECT {_OF_LANE} = found.fields AND suspect < 0) AS suspects
FROM found WHERE fields IS NOT NULL
"""  # noqa: S608 - our own text
"""Request fields that what is due in a lane has."""

DUE = """
UPDATE segment SET at = not_before, not_before = 0 WHERE lane = $1::text AND id IN (
  SELECT id FROM (
    SELECT id, sum(n) OVER (ORDER BY not_before, id) - n AS before FROM (
      SELECT id, n, not_before FROM segment WHERE lane = $1::text AND not_before > 0 AND not_before <= $2::int8
      ORDER BY not_before LIMIT $3::int8) due
  ) measured WHERE before < $4::int8)
RETURNING at, n, fields
"""
"""Lets the earliest of what is due be claimed, as if it had arrived when it became due."""
NEXT_DUE = "SELECT min(not_before) AS moment FROM segment WHERE lane = $1::text AND not_before > 0"
