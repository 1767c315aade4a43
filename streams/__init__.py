"""When it is decided: the Faust app and its agents, each "decode → one call → publish → ack"."""
