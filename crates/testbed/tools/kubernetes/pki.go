package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// nodeIP is the node's address; see the network part of xtask's cluster module.
const nodeIP = "10.100.0.1"

// writePKI makes the cluster's certificates: one CA and three leaves. The
// identities behind the API server's other clients are tokens.
func writePKI(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	ca, err := newPair(pkix.Name{CommonName: "javelin-test-cluster"}, nil, nil, nil)
	if err != nil {
		return err
	}
	apiserver, err := newPair(pkix.Name{CommonName: "kube-apiserver"}, ca,
		[]string{
			"localhost",
			"kubernetes",
			"kubernetes.default",
			"kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
		},
		[]net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(nodeIP), net.ParseIP("10.96.0.1")})
	if err != nil {
		return err
	}
	kubelet, err := newPair(pkix.Name{CommonName: "node0"}, ca, []string{"node0"}, []net.IP{net.ParseIP(nodeIP)})
	if err != nil {
		return err
	}
	// What the API server shows the kubelet for logs and exec.
	client, err := newPair(pkix.Name{
		CommonName:   "kube-apiserver-kubelet-client",
		Organization: []string{"system:masters"},
	}, ca, nil, nil)
	if err != nil {
		return err
	}
	serviceAccounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return errors.Join(
		ca.write(folder, "ca"),
		apiserver.write(folder, "apiserver"),
		kubelet.write(folder, "kubelet"),
		client.write(folder, "kubelet-client"),
		writeKey(filepath.Join(folder, "service-accounts.key"), serviceAccounts),
	)
}

type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newPair makes a certificate signed by issuer, or a CA when issuer is nil.
func newPair(subject pkix.Name, issuer *pair, names []string, addresses []net.IP) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		DNSNames:              names,
		IPAddresses:           addresses,
	}
	parent := template
	var signer crypto.Signer = key
	if issuer == nil {
		template.IsCA = true
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &pair{certificate: certificate, key: key}, nil
}

func (p *pair) write(folder, name string) error {
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})
	return errors.Join(
		os.WriteFile(filepath.Join(folder, name+".crt"), block, 0o600),
		writeKey(filepath.Join(folder, name+".key"), p.key),
	)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
