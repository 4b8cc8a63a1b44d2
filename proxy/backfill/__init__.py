"""Events of the past from files: read, mapped, named by stable ids, and judged before anything is sent. Pure."""
