# EDGECLF_TOKEN=... python client.py http://127.0.0.1:8000 plate.jpg
import json, os, sys, urllib.request

try:
    with open(sys.argv[2], "rb") as picture:
        request = urllib.request.Request(f"{sys.argv[1]}/v1/classify", picture.read())
    request.add_header("Content-Type", "application/octet-stream")
    request.add_header("Authorization", f"Bearer {os.environ.get('EDGECLF_TOKEN', '')}")
    [result] = json.load(urllib.request.urlopen(request))["results"]
except OSError as error:  # what the server says, or the system
    sys.exit(json.load(error)["detail"] if hasattr(error, "read") else str(error))
for category in result["categories"]:
    print(f"{category['label']} {category['score']:.4f}")
