"""The call page: one call as a page in the browser, live or as one file.

The server needs the extra `web`; the file, made by `page.render_call_html`, needs Jinja2 only. Finding records does not
belong here.
"""
