"""The studio: a song dropped on a local web page in, a stem that sits on it and its files out.

Reading order: `records` (what is known), `store` (where it lies on disk), `tasks` (what the two
worker processes do), `worker` and `worker_process` (both ends of the pipe), `jobs` (the queue),
`guard` (who may ask), `api` (what may be asked), `commands` (the verb). The page is in `page/`.
"""
