package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// pinOf returns the pin of the certificate in a file.
func pinOf(t testing.TB, path string) string {
	t.Helper()
	block, _ := pem.Decode(read(t, path))
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return tlsconf.FingerprintOf(cert).Pin()
}

// The error says why a client refuses a daemon, and what to do.
func TestVerifyErrorSaysWhatToDo(t *testing.T) {
	ca, dir := newCA(t, "ours")
	_, other := newCA(t, "other")
	_, err := ca.IssueServer("daemon", []string{"dhcp1.example", "192.0.2.1"}, 0)
	require.NoError(t, err)
	_, err = ca.IssueClient("client", "", 0)
	require.NoError(t, err)
	forServer := func(change func(*x509.Certificate)) tls.Certificate {
		return authorityOf(t, dir).forge(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			if change != nil {
				change(c)
			}
		})
	}
	issued := func(name string) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
		require.NoError(t, err)
		return pair
	}
	ours, theirs := filepath.Join(dir, tlsconf.CACert), filepath.Join(other, tlsconf.CACert)
	pin := pinOf(t, filepath.Join(dir, "daemon.pem"))
	many := strings.Split(strings.TrimSuffix(strings.Repeat("many.example ", 20), " "), " ")
	tests := []struct {
		name   string
		daemon tls.Certificate
		host   string
		client *tlsconf.Client
		says   string // "" is belief
	}{
		{"good", issued("daemon"), "dhcp1.example", &tlsconf.Client{CA: ours}, ""},
		{"case and a dot", issued("daemon"), "DHCP1.Example.", &tlsconf.Client{CA: ours}, ""},
		{"address", issued("daemon"), "192.0.2.1", &tlsconf.Client{CA: ours}, ""},
		{"another name to dial", issued("daemon"), "127.0.0.1", &tlsconf.Client{CA: ours, ServerName: "dhcp1.example"}, ""},
		{"unknown", issued("daemon"), "dhcp1.example", &tlsconf.Client{CA: theirs},
			"the authority that signed it is unknown: give its CA with --ca or --pki, or pin it, if this is its fingerprint: " + pin},
		{"unknown to the system", issued("daemon"), "dhcp1.example", &tlsconf.Client{}, "give its CA with --ca or --pki"},
		{"wrong name", issued("daemon"), "dhcp2.example", &tlsconf.Client{CA: ours},
			"it is for dhcp1.example, 192.0.2.1, not for dhcp2.example: dial a name that it has"},
		{"wrong address", issued("daemon"), "192.0.2.2", &tlsconf.Client{CA: ours}, "not for 192.0.2.2"},
		{"many names", forServer(func(c *x509.Certificate) { c.DNSNames = many }), "x", &tlsconf.Client{CA: ours}, "many.example and 12 more, not for x"},
		{"no names, but a CN", forServer(func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "localhost" }), "localhost", &tlsconf.Client{CA: ours}, "it is for no host, not for localhost"},
		{"expired", forServer(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "ops.example", &tlsconf.Client{CA: ours},
			"have another issued, or set the clock"},
		{"a client's", issued("client"), "client", &tlsconf.Client{CA: ours}, "incompatible key usage"},
		{"pinned", issued("daemon"), "elsewhere", &tlsconf.Client{Pin: pin}, ""},
		{"pinned in capitals", issued("daemon"), "", &tlsconf.Client{Pin: colons(pin)}, ""},
		{"pinned, whatever its dates", forServer(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "x", nil, ""},
		{"pinned, but another of the same CA", forServer(nil), "ops.example", &tlsconf.Client{CA: ours, Pin: pin}, "it is not the pinned " + pin},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.client == nil {
				test.client = &tlsconf.Client{Pin: tlsconf.FingerprintOf(test.daemon.Leaf).Pin()}
			}
			config, err := test.client.Config(test.host)
			require.NoError(t, err)
			o := connect(t, &tls.Config{Certificates: []tls.Certificate{test.daemon}}, config)
			if test.says == "" {
				o.ok(t)
				return
			}
			var verify *tlsconf.VerifyError
			require.ErrorAs(t, o.client, &verify)
			require.ErrorContains(t, verify, test.says)
			require.Equal(t, tlsconf.FingerprintOf(test.daemon.Leaf), verify.Fingerprint)
			require.ErrorContains(t, o.server, "bad certificate")
		})
	}
}

// colons writes a pin as openssl does.
func colons(pin string) string {
	digits := strings.ToUpper(strings.TrimPrefix(pin, "sha256:"))
	var bytes []string
	for i := 0; i < len(digits); i += 2 {
		bytes = append(bytes, digits[i:i+2])
	}
	return "SHA256:" + strings.Join(bytes, ":")
}

func TestParseFingerprint(t *testing.T) {
	good := "sha256:" + strings.Repeat("0a", 32)
	for _, text := range []string{good, strings.ToUpper(good), colons(good)} {
		f, err := tlsconf.ParseFingerprint(text)
		require.NoError(t, err)
		require.Equal(t, good, f.Pin())
	}
	for _, text := range []string{"", "sha256:", good[7:], good + "0a", good[:len(good)-1], good + "\n", "sha1:" + good[7:],
		strings.Replace(good, "0a", "0a:", 1), strings.Replace(colons(good), "0A:0A", "0A0A", 1), strings.Replace(good, "a", "g", 1)} {
		_, err := tlsconf.ParseFingerprint(text)
		require.ErrorContains(t, err, "64 hexadecimal digits", text)
	}
}

// A Client that cannot be used returns an error before it dials.
func TestUnusableClientReturnsErrorBeforeDial(t *testing.T) {
	ca, dir := newCA(t, "ours")
	_, err := ca.IssueClient("ann", "", 0)
	require.NoError(t, err)
	_, err = ca.IssueClient("ben", "", 0)
	require.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("empty"), nil, 0o600)
	put(t, at("open.key"), read(t, at("ann.key")), 0o604)
	_, other := newCA(t, "ours") // by the same name
	for _, test := range []struct {
		name   string
		client *tlsconf.Client
		host   string
		says   string
	}{
		{"no CA", &tlsconf.Client{CA: at("nothing")}, "h", at("nothing")},
		{"empty CA", &tlsconf.Client{CA: at("empty")}, "h", at("empty") + ": holds no certificate"},
		{"directory", &tlsconf.Client{CA: dir}, "h", dir + ": is not a regular file"},
		{"never ending", &tlsconf.Client{CA: "/dev/zero"}, "h", "/dev/zero: is not a regular file"},
		{"no key", &tlsconf.Client{CA: at("ca.pem"), Cert: at("ann.pem")}, "h", "go together"},
		{"no certificate", &tlsconf.Client{CA: at("ca.pem"), Key: at("ann.key")}, "h", "go together"},
		{"another's key", &tlsconf.Client{CA: at("ca.pem"), Cert: at("ann.pem"), Key: at("ben.key")}, "h", "give the key that this certificate was made for"},
		{"open key", &tlsconf.Client{CA: at("ca.pem"), Cert: at("ann.pem"), Key: at("open.key")}, "h", "do: chmod 600 " + at("open.key")},
		{"wrong pin", &tlsconf.Client{Pin: "sha256:12"}, "h", "pin: the fingerprint"},
		{"no name", &tlsconf.Client{CA: at("ca.pem")}, "", "dial a name"},
		{"CRL without a CA", &tlsconf.Client{CRL: at("crl.pem")}, "h", "no CA is given"},
		{"another's CRL", &tlsconf.Client{CA: at("ca.pem"), CRL: filepath.Join(other, "crl.pem")}, "h", "is signed by none of the trusted authorities"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.client.Config(test.host)
			require.ErrorContains(t, err, test.says)
		})
	}
	_, err = (&tlsconf.Client{CA: at("nothing")}).Config("h")
	require.True(t, errors.Is(err, fs.ErrNotExist))
}
