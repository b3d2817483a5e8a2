# sh client.sh http://127.0.0.1:8000 plate.jpg other.png
server=$1
shift
for picture; do set -- "$@" --form "image=@$picture"; shift; done
curl --fail-with-body --silent --show-error "$@" "$server/v1/classify"
