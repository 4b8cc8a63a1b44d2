"""Statements by which a leader reads what it claims. Claims write nothing.

Each statement reads up to ``$5`` segments by the index of the lane, measures them without reading the sealed bytes, and
returns those that fit into the claim, the first in any case; its column ``looked`` says how many segments it read.
"""

FACTS = "id, n, attempts, strikes, at, suspect, fields, skip, sealed"
"""The columns of a segment that claims read."""
MOST_BYTES = 3 << 20
"""Bytes of payloads in a claim, as Graph gets them; the last segment of the claim may exceed them by its own bytes."""


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
"""Read fresh events to claim; arguments: lane, fields, how many events, ids left out, how many segments, the floor."""

# The suspects that may ride in the largest batches. Written as "<> 0", the condition would read fresh segments too.
_TOP = (
    "(SELECT suspect FROM segment WHERE lane = $1::text AND fields = $2::bytea AND not_before = 0"
    " AND id <> ALL($4::uuid[]) AND suspect {sign} 0 ORDER BY suspect DESC, at DESC, id DESC LIMIT 1)"
)
_BOUND = f"coalesce({_TOP.format(sign='>')}, {_TOP.format(sign='<')})"
SUSPECTS = _measured(f"{_DUE} AND suspect = {_BOUND}", "DESC", "before < least($3::int8, abs(suspect))")
"""Reads suspects to claim; arguments: lane, fields, how many events, ids left out, how many segments."""

_OF_LANE = "FROM segment s WHERE s.lane = $1::text AND s.not_before = 0 AND s.fields"
# Finds the few distinct values by one look into the index for each.
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
"""Returns the request fields of due segments in a lane, and whether fresh events and suspects have them."""

DUE = """
UPDATE segment SET at = not_before, not_before = 0 WHERE lane = $1::text AND id IN (
  SELECT id FROM (
    SELECT id, sum(n) OVER (ORDER BY not_before, id) - n AS before FROM (
      SELECT id, n, not_before FROM segment WHERE lane = $1::text AND not_before > 0 AND not_before <= $2::int8
      ORDER BY not_before LIMIT $3::int8) due
  ) measured WHERE before < $4::int8)
RETURNING at, n, fields
"""
"""Lets the held segments that became due first be claimed, as if they had arrived when they became due."""
NEXT_DUE = "SELECT min(not_before) AS moment FROM segment WHERE lane = $1::text AND not_before > 0"
