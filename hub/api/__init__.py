"""Who asks: the REST API, the live feed and the status page, on aiohttp.

Handlers see a :class:`~hub.api.routing.Call`: who calls, with what query, and the services behind. What a route takes
and answers is declared beside its handler, and from the same declarations come the checks and ``/openapi.json``.
"""
