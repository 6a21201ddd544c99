#!/bin/sh
# An example of a corporate authority, for tests and for trying things out: a root, an intermediate that it signs, and a
# certificate for the webhook that the intermediate signs. All keys are P-256.
#
#   certs/corporate-ca.sh FOLDER [NAME [DAYS]]
#
# FOLDER is made; NAME is the Service's, javelin.javelin-system.svc unless given; the certificate ends after DAYS, 90
# unless given. In the end there are
#   ca.crt           the root: for tls.caBundle
#   tls.crt tls.key  the certificate with its intermediate, and its key: for the Secret
#   the keys of both authorities, and the certificates one by one
# Run again with the same FOLDER it makes a new certificate of the same authorities, as a renewal does.
set -eu
umask 077

if [ $# -lt 1 ] || [ $# -gt 3 ]; then
    echo "usage: $0 FOLDER [NAME [DAYS]]" >&2
    exit 2
fi
name=${2:-javelin.javelin-system.svc}
days=${3:-90}
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
mkdir -p "$1"
cd "$1"
# A key in a checkout is soon a key in a commit.
case "$(pwd -P)/" in
"$checkout"/*)
    echo "$0: $1 is inside the checkout, and keys do not belong there; name another folder" >&2
    exit 2
    ;;
esac

# issue FILE SUBJECT DAYS EXTENSIONS ISSUER
issue() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf '%s\n' "$4" >"$1.ext"
    if [ "$5" = "$1" ]; then
        openssl x509 -req -in "$1.csr" -days "$3" -extfile "$1.ext" -signkey "$1.key" -out "$1.crt" 2>/dev/null
    else
        openssl x509 -req -in "$1.csr" -days "$3" -extfile "$1.ext" \
            -CA "$5.crt" -CAkey "$5.key" -CAcreateserial -out "$1.crt" 2>/dev/null
    fi
    rm "$1.csr" "$1.ext"
}

if [ ! -e root.key ]; then
    issue root "/O=Example Corporation/CN=Example Root" 3650 \
        'basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash' root
    issue intermediate "/O=Example Corporation/CN=Example Issuing" 1825 \
        'basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid' root
fi
issue leaf "/O=Example Corporation/CN=javelin webhook" "$days" \
    "basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:$name
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid" intermediate

cp root.crt ca.crt
cat leaf.crt intermediate.crt >tls.crt
mv leaf.key tls.key
openssl verify -purpose sslserver -verify_hostname "$name" -CAfile ca.crt -untrusted intermediate.crt leaf.crt
