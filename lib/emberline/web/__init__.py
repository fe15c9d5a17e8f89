"""What `emberline.serving` answers, over HTTP; the only place that imports Starlette and
uvicorn.
"""
