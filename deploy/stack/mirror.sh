#!/bin/sh
# Copies the stack's images and charts into your registry, for all platforms and with the digests that they have.
#
#   mirror.sh [OPTION]... [REGISTRY]
#
#   --dry-run          print what would be copied where, and ask nobody
#   --missing          print what the registry lacks, or has with another digest, and copy nothing; exit code 1 if there is any
#   --from FILE        a list in place of images.txt and charts.txt, as a run before has printed it
#   --tool NAME        crane or skopeo; the first of the two that is installed. An old skopeo (1.9) refuses an index in which
#                      it does not know every field, rather than change its digest: take crane for that
#   --insecure         registries without TLS, or with a certificate that nobody here knows
#
# REGISTRY is registry.yaml's unless it is given. What is copied keeps the path that it has where it comes from:
# quay.io/prometheus/prometheus:v3 becomes REGISTRY/prometheus/prometheus:v3, where the charts look for it. Standard output is
# a line for each, NAME:TAG@DIGEST: keep it, and --missing --from it later tells whether everything is still the same.
#
# Not by docker pull, tag and push: that keeps the one platform that the machine has, so that the digest is another one
# and the nodes of the other platform find nothing.
set -eu

here=$(dirname "$0")

die() {
  echo "mirror.sh: $*" >&2
  exit 2
}

dry_run=
missing=
list=
tool=
insecure=
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry_run=yes ;;
    --missing) missing=yes ;;
    --insecure) insecure=yes ;;
    --from | --tool)
      [ $# -gt 1 ] || die "$1 wants a value"
      case $1 in
        --from) list=$2 ;;
        --tool) tool=$2 ;;
      esac
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p;}' "$0"
      exit
      ;;
    -*) die "unknown option $1; --help lists them" ;;
    *) break ;;
  esac
  shift
done
[ $# -lt 2 ] || die "one registry, and not $*"
registry=${1:-$(sed -n 's/^ *imageRegistry: *\(&[a-z]* \)\{0,1\}//p' "$here/registry.yaml")}
registry=${registry%/}
case $registry in
  '') die "no registry: give one, or name it in registry.yaml" ;;
  *://*) die "$registry: a registry's name has no scheme, only a host, a port and a path" ;;
esac
if [ -z "$tool" ]; then
  tool=$(command -v crane || command -v skopeo || die "neither crane nor skopeo is installed")
  tool=${tool##*/}
fi
case $tool in
  crane | skopeo) command -v "$tool" >/dev/null || [ -n "$dry_run" ] || die "$tool is not installed" ;;
  *) die "--tool is crane or skopeo, and not $tool" ;;
esac

# A line NAME:TAG or NAME:TAG@DIGEST for each. Charts that are OCI artifacts are copied as images are.
items() {
  if [ -n "$list" ]; then
    sed 's/#.*//;s/[[:space:]]*$//;/^$/d' "$list"
    return
  fi
  sed 's/#.*//;s/[[:space:]]*$//;/^$/d' "$here/images.txt"
  awk '$5 ~ /^oci:/ { sub("oci://", "", $5); print $5 "/" $2 ":" $3 }' "$here/charts.txt" | sort -u
}

# The digest of what a reference names: of the index, where there is one.
digest() {
  case $tool in
    crane) crane ${insecure:+--insecure} digest "$1" ;;
    skopeo)
      manifest=$(mktemp)
      if skopeo inspect ${insecure:+--tls-verify=false} --raw "docker://$1" >"$manifest"; then
        found=$(sha256sum <"$manifest")
        rm -f "$manifest"
        echo "sha256:${found%% *}"
      else
        rm -f "$manifest"
        return 1
      fi
      ;;
  esac
}

copy() {
  case $tool in
    crane) crane ${insecure:+--insecure} copy "$1" "$2" ;;
    skopeo)
      skopeo copy ${insecure:+--src-tls-verify=false --dest-tls-verify=false} --all --preserve-digests \
        "docker://$1" "docker://$2"
      ;;
  esac
}

todo=$(items)
[ -n "$todo" ] || die "there is nothing in ${list:-images.txt and charts.txt}"
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
lacking=0
total=0
for item in $todo; do
  total=$((total + 1))
  named=${item%%@*}
  pinned=
  source=$named
  case $item in
    *@*)
      pinned=${item#*@}
      # By its digest, whatever the tag is now.
      source=${named%:*}@$pinned
      ;;
  esac
  target=$registry/${named#*/}
  if [ -n "$dry_run" ]; then
    echo "$source -> $target"
  elif [ -n "$missing" ]; then
    if found=$(digest "$target" 2>"$errors"); then
      [ -z "$pinned" ] || [ "$found" = "$pinned" ] || {
        lacking=$((lacking + 1))
        echo "$named is $found there, and not $pinned"
      }
    elif grep -Eiq 'manifest[ _]unknown|name[ _]unknown|not found|404' "$errors"; then
      lacking=$((lacking + 1))
      echo "$named"
    else
      cat "$errors" >&2
      die "whether the registry has $target cannot be told"
    fi
  else
    copy "$source" "$target" >&2 || die "$source was not copied to $target"
    wanted=${pinned:-$(digest "$source")}
    found=$(digest "$target")
    [ "$found" = "$wanted" ] || die "$target has the digest $found, and not $wanted: something on the way changed it"
    echo "$named@$found"
  fi
done

if [ -n "$missing" ]; then
  echo "$registry lacks $lacking of $total" >&2
  [ "$lacking" -eq 0 ] || exit 1
fi
if [ -z "$list" ]; then
  awk -v registry="$registry" '$5 ~ /^https:/ {
    path = $5; sub("https://[^/]*/", "", path)
    print "Not an artifact of a registry, and left out: " $2 ". helm pull --repo " $5 " " $2 " --version " $3 \
      " && helm push " $2 "-" $3 ".tgz oci://" registry "/" path
  }' "$here/charts.txt" >&2
fi
