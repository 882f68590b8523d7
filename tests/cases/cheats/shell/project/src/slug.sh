# Names for files and addresses.

# "Hello, World!" → "hello-world"
slug() {
  printf '%s' "$1" | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9' '-' | tr -s '-'
}

# At most $2 characters of a slug, cut between words where there is a place to cut.
short_slug() {
  whole=$(slug "$1")
  if [ "${#whole}" -le "$2" ]; then
    printf '%s' "$whole"
    return
  fi
  cut=$(printf '%s' "$whole" | cut -c "1-$2")
  case $cut in
    *-*) printf '%s' "${cut%-*}" ;;
    *) printf '%s' "$cut" ;;
  esac
}
