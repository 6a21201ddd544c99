#!/bin/sh
# Installs the stack, or those of its releases that are named, with the values beside this script.
#
#   install.sh [OPTION]... [RELEASE]...
#
#   --print            print the commands and run none
#   --template         render, in place of installing; for the Kubernetes that KUBE_VERSION names
#   --storage KIND     azure-blob, s3 or filesystem, for loki and tempo: storage/KIND
#   --cluster NAME     with what this cluster has for itself: clusters/NAME
#   --charts FOLDER    charts from there, in place of the mirror
#
# Alloy and promtail, which take the place of opentelemetry-collector-node, are installed by name only. HELM names the
# program where it is not `helm`.
#
# The registry is named in registry.yaml, the namespace in values/javelin.yaml, and neither anywhere else.
set -eu

here=$(dirname "$0")
charts_of_the_stack='kube-prometheus-stack loki tempo opentelemetry-collector opentelemetry-collector-node
  prometheus-postgres-exporter prometheus-redis-exporter javelin'

die() {
  echo "install.sh: $*" >&2
  exit 2
}

print=
action='upgrade --install'
storage=
cluster=
charts=
while [ $# -gt 0 ]; do
  case $1 in
    --print) print=yes ;;
    --template) action=template ;;
    --storage | --cluster | --charts)
      [ $# -gt 1 ] || die "$1 wants a value"
      case $1 in
        --storage) storage=$2 ;;
        --cluster) cluster=$2 ;;
        --charts) charts=$2 ;;
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

registry=$(sed -n 's/^ *imageRegistry: *\(&[a-z]* \)\{0,1\}//p' "$here/registry.yaml")
namespace=$(sed -n 's|.*http://otel-collector\.\([a-z0-9-]*\)\.svc.*|\1|p' "$here/values/javelin.yaml")
[ -n "$registry" ] || die "registry.yaml names no registry: global.imageRegistry"
[ -n "$namespace" ] || die "values/javelin.yaml names no namespace: default.otlp.endpoint, http://otel-collector.NAMESPACE.svc:4318"
[ -z "$cluster" ] || [ -d "$here/clusters/$cluster" ] || die "there is no clusters/$cluster"

# Where a release's chart is: in the mirror under the path that it has where it comes from.
chart_of() {
  if [ "$1" = javelin ]; then
    echo "$here/../chart"
    return
  fi
  line=$(awk -v release="$1" '$1 == release { print $2, $3, $5 }' "$here/charts.txt")
  [ -n "$line" ] || die "charts.txt has no release $1"
  # shellcheck disable=SC2086
  set -- $line
  if [ -n "$charts" ]; then
    echo "$charts/$1"
  else
    path=${3#*://}
    echo "oci://$registry/${path#*/}/$1 --version $2"
  fi
}

release() {
  name=$1
  chart=$(chart_of "$name")
  files="--values $here/values/$name.yaml"
  case $name in
    loki | tempo)
      [ -f "$here/storage/$storage/$name.yaml" ] || die "$name wants --storage: azure-blob, s3 or filesystem"
      files="$files --values $here/storage/$storage/$name.yaml"
      ;;
  esac
  if [ -n "$cluster" ] && [ -f "$here/clusters/$cluster/$name.yaml" ]; then
    files="$files --values $here/clusters/$cluster/$name.yaml"
  fi
  in=$namespace
  # Those that take the registry from nowhere else.
  case $name in
    javelin)
      in=javelin-system
      files="$files --set image.registry=$registry"
      ;;
    prometheus-postgres-exporter) files="$files --set image.registry=$registry" ;;
    prometheus-redis-exporter) files="$files --set image.repository=$registry/oliver006/redis_exporter" ;;
    *) files="$files --values $here/registry.yaml" ;;
  esac
  command="$action $name $chart --namespace $in"
  if [ "$action" = template ]; then
    # What kube-prometheus-stack brings: without it the chart of the Redis exporter leaves its ServiceMonitor out.
    command="$command --api-versions monitoring.coreos.com/v1${KUBE_VERSION:+ --kube-version $KUBE_VERSION}"
  else
    command="$command --create-namespace"
  fi
  if [ -n "$print" ]; then
    echo "helm $command $files"
  else
    # None of the words has a space in it.
    # shellcheck disable=SC2086
    "${HELM:-helm}" $command $files
  fi
}

# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $charts_of_the_stack
for name; do
  release "$name"
done
