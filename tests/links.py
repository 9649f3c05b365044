"""
Each link of the documents leads somewhere: to a file of the checkout, and to a heading of it. Links to the network are
not followed. Prints each fault; exit status 1 when there are some.
"""
import os
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(path):
    """As they are made of headings: lower case, without punctuation, hyphens for blanks."""
    with open(path) as f:
        headings = re.findall(r"^#+ +(.*)$", f.read(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def main():
    files = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split()
    bad = []
    for f in filter(os.path.exists, files):
        with open(f) as text:
            links = LINK.findall(re.sub(r"`[^`]*`", "", text.read()))
        for link in links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(f), path)) if path else f
            if not os.path.exists(path):
                bad.append("%s: %s: there is no such file" % (f, link))
            elif anchor and anchor not in anchors(path):
                bad.append("%s: %s: there is no such heading" % (f, link))
    print("\n".join(bad), end="\n" if bad else "")
    return bool(bad)


sys.exit(main())
