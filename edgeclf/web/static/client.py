import json, sys, urllib.request  # python client.py http://127.0.0.1:8000 plate.jpg

try:
    with open(sys.argv[2], "rb") as picture:
        request = urllib.request.Request(f"{sys.argv[1]}/v1/classify", picture.read())
    request.add_header("Content-Type", "application/octet-stream")
    answer = json.load(urllib.request.urlopen(request))
except OSError as error:  # what the server says, or the system
    sys.exit(error.read().decode() if hasattr(error, "read") else str(error))
for category in answer["results"][0]["categories"]:
    print(f"{category['label']} {category['score']:.4f}")
