import json, sys, urllib.request  # python client.py http://127.0.0.1:8000 plate.jpg

with open(sys.argv[2], "rb") as picture:
    request = urllib.request.Request(f"{sys.argv[1]}/v1/classify", picture.read())
request.add_header("Content-Type", "application/octet-stream")
for category in json.load(urllib.request.urlopen(request))["results"][0]["categories"]:
    print(f"{category['label']} {category['score']:.4f}")
