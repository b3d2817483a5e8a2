# EDGECLF_TOKEN=... python client.py http://127.0.0.1:8000 plate.jpg
import json, os, sys, urllib.error, urllib.request

request = urllib.request.Request(f"{sys.argv[1]}/v1/classify", method="POST")
request.add_header("Content-Type", "application/octet-stream")
request.add_header("Authorization", f"Bearer {os.environ.get('EDGECLF_TOKEN', '')}")
with open(sys.argv[2], "rb") as picture:
    request.data = picture.read()
try:
    [result] = json.load(urllib.request.urlopen(request))["results"]
except urllib.error.HTTPError as error:
    sys.exit(json.load(error)["detail"])
for category in result["categories"]:
    print(f"{category['label']} {category['score']:.4f}")
