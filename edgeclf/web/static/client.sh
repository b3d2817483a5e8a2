# EDGECLF_TOKEN=... sh client.sh http://127.0.0.1:8000 plate.jpg other.png
server=$1; shift
quoted() { printf '%s\n' "$1" | sed 's/[\\"]/\\&/g'; }
for picture; do set -- "$@" --form "image=@\"$(quoted "$picture")\""; shift; done
printf 'Authorization: Bearer %s\n' "$EDGECLF_TOKEN" |
  curl --silent --show-error --fail-with-body --header @- "$@" "$server/v1/classify"
