package tlsconf_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// The folder of a CA has these files, with these modes.
func TestFilesOfCA(t *testing.T) {
	ca, dir := newCA(t, "our CA")
	_, err := ca.IssueServer("daemon", []string{"localhost"}, 0)
	require.NoError(t, err)
	_, err = ca.IssueClient("ann", "", 0)
	require.NoError(t, err)
	modes := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		modes[entry.Name()] = fmt.Sprintf("%04o", info.Mode().Perm())
	}
	require.Equal(t, map[string]string{
		"ca.pem": "0644", "ca.key": "0600", "crl.pem": "0644", "issued.jsonl": "0600", "lock": "0600",
		"daemon.pem": "0644", "daemon.key": "0600", "ann.pem": "0644", "ann.key": "0600",
	}, modes)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())

	root := authorityOf(t, dir).cert
	require.Equal(t, "our CA", root.Subject.CommonName)
	require.Equal(t, elliptic.P256(), root.PublicKey.(*ecdsa.PublicKey).Curve)
	require.True(t, root.IsCA && root.MaxPathLenZero)
	require.WithinDuration(t, time.Now().AddDate(10, 0, 0), root.NotAfter, 48*time.Hour)

	_, err = tlsconf.CreateCA(dir, "another")
	require.ErrorIs(t, err, fs.ErrExist)
}

// A certificate has the requested content and is in the list.
func TestIssuedCertHasRequestedContent(t *testing.T) {
	ca, dir := newCA(t, "ours")
	server, err := ca.IssueServer("dhcp1", []string{"dhcp1.example", "192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1"}, 24*time.Hour)
	require.NoError(t, err)
	uri, err := ca.IssueClient("ops", "spiffe://example/ops", 0)
	require.NoError(t, err)
	named, err := ca.IssueClient("ann", "ann.ops.example", 0)
	require.NoError(t, err)
	again, err := ca.IssueClient("ann", "", 0)
	require.NoError(t, err)

	leaf := func(is tlsconf.Issued) *x509.Certificate {
		pair, err := tls.LoadX509KeyPair(is.Cert, is.Key)
		require.NoError(t, err)
		require.Equal(t, is.Name, pair.Leaf.Subject.CommonName)
		return pair.Leaf
	}
	require.Equal(t, []string{"dhcp1.example"}, leaf(server).DNSNames)
	require.Equal(t, "[192.0.2.1 192.0.2.2 2001:db8::1]", fmt.Sprint(leaf(server).IPAddresses))
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, leaf(server).ExtKeyUsage)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), leaf(server).NotAfter, time.Minute)
	require.Equal(t, "spiffe://example/ops", leaf(uri).URIs[0].String())
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, leaf(uri).ExtKeyUsage)
	require.WithinDuration(t, time.Now().Add(825*24*time.Hour), leaf(uri).NotAfter, time.Minute)
	require.Equal(t, []string{"ann"}, leaf(again).DNSNames)
	require.Equal(t, tlsconf.FingerprintOf(leaf(again)), again.Fingerprint)

	reopened, err := tlsconf.OpenCA(dir)
	require.NoError(t, err)
	list, err := reopened.List()
	require.NoError(t, err)
	require.Equal(t, []tlsconf.Issued{server, uri, named, again}, list)

	require.NoError(t, reopened.Revoke("ann"))
	require.NoError(t, reopened.Revoke("ann"))
	require.ErrorIs(t, reopened.Revoke("unknown"), fs.ErrNotExist)
	list, err = ca.List()
	require.NoError(t, err)
	require.True(t, list[1].Revoked.IsZero())
	require.False(t, list[2].Revoked.IsZero())
	require.False(t, list[3].Revoked.IsZero())
}

// A CA refuses these requests.
func TestBadRequestsAreNotIssued(t *testing.T) {
	ca, dir := newCA(t, "ours")
	_, err := ca.IssueServer("daemon", []string{"localhost"}, 0)
	require.NoError(t, err)
	put(t, filepath.Join(dir, "foreign.pem"), []byte("mine"), 0o644)
	const many = 826 * 24 * time.Hour
	for _, name := range []string{"", "ca", "crl", "../x", "a/b", ".hidden", "-x", "Ann", "ann\n", "ä", "a\x00", strings.Repeat("a", 65)} {
		_, err := ca.IssueClient(name, "ops.example", 0)
		require.ErrorContains(t, err, "the name", "%q", name)
		require.Error(t, ca.Revoke(name))
	}
	for _, san := range []string{"*.example", "a,b", "a b", "a..b", "ops.example.", "192.0.2.1", "spiffe://", "spiffe:", "//x", "http://u@x/", "http://x/ä", "HTTP://x/", "a\x00b", "x/y"} {
		_, err := ca.IssueClient("ann", san, 0)
		require.ErrorContains(t, err, "neither a DNS name like", "%q", san)
	}
	for _, host := range []string{"", "*.example", "0.0.0.0", "::", "fe80::1%eth0", "a:1", "http://x", "x y"} {
		_, err := ca.IssueServer("d", []string{host}, 0)
		require.ErrorContains(t, err, "neither a host name nor an address", "%q", host)
	}
	for _, test := range []struct {
		says  string
		issue func() (tlsconf.Issued, error)
	}{
		{"needs a host", func() (tlsconf.Issued, error) { return ca.IssueServer("d", nil, 0) }},
		{"have ended already", func() (tlsconf.Issued, error) { return ca.IssueClient("ann", "", -1) }},
		{"825 days at most", func() (tlsconf.Issued, error) { return ca.IssueClient("ann", "", many) }},
		{"the name belongs to a server", func() (tlsconf.Issued, error) { return ca.IssueClient("daemon", "", 0) }},
		{"foreign.pem is there, and was not issued here", func() (tlsconf.Issued, error) { return ca.IssueClient("foreign", "", 0) }},
	} {
		_, err := test.issue()
		require.ErrorContains(t, err, test.says)
	}
	list, err := ca.List()
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, ca.Revoke("daemon"))
	_, err = ca.IssueClient("daemon", "", 0)
	require.NoError(t, err, "a revoked certificate does not keep its name")
}

// A certificate does not end after its CA, and a CA that has ended issues none.
func TestNoCertEndsAfterItsCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, dir := newCA(t, "ours")
		end := authorityOf(t, dir).cert.NotAfter
		time.Sleep(time.Until(end) - 48*time.Hour)
		is, err := ca.IssueClient("ann", "", 0)
		require.NoError(t, err)
		require.Equal(t, end, is.NotAfter)
		_, err = ca.IssueClient("ann", "", 72*time.Hour)
		require.ErrorContains(t, err, "would outlive the CA")
		time.Sleep(72 * time.Hour)
		_, err = ca.IssueClient("ann", "", 0)
		require.ErrorContains(t, err, "make another")
	})
}

// Folders without a CA, and folders of other users, are refused.
func TestOpenCARefusesOtherFolders(t *testing.T) {
	empty := t.TempDir()
	_, err := tlsconf.OpenCA(empty)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = tlsconf.OpenCA(filepath.Join(empty, "nothing"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	shared := filepath.Join(t.TempDir(), "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	require.NoError(t, os.Chmod(shared, 0o777))
	_, err = tlsconf.CreateCA(shared, "ours")
	require.ErrorContains(t, err, "do: chmod go-w "+shared)
	_, err = tlsconf.Auto(shared, nil)
	require.ErrorContains(t, err, "do: chmod go-w "+shared)

	for _, name := range []string{"", strings.Repeat("x", 65), "\xff"} {
		_, err = tlsconf.CreateCA(empty, name)
		require.ErrorContains(t, err, "create CA: the name")
	}

	_, dir := newCA(t, "ours")
	require.NoError(t, os.Chmod(filepath.Join(dir, "ca.key"), 0o604))
	_, err = tlsconf.OpenCA(dir)
	require.ErrorContains(t, err, "chmod 600")

	ca, dir := newCA(t, "ours")
	put(t, filepath.Join(dir, "issued.jsonl"), []byte("{\"name\": \"../../etc/shadow\"}\n"), 0o600)
	_, err = ca.List()
	require.ErrorContains(t, err, "issued.jsonl:1")
	require.NoError(t, os.Remove(filepath.Join(dir, "issued.jsonl")))
	_, err = ca.IssueClient("ann", "", 0)
	require.ErrorContains(t, err, "the certificates that the CA has issued are not known")
}

// Several goroutines issue at the same time, and no certificate is lost.
func TestConcurrentIssuesAreAllRecorded(t *testing.T) {
	_, dir := newCA(t, "ours")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ca, err := tlsconf.OpenCA(dir)
			if err == nil {
				_, err = ca.IssueClient(fmt.Sprint("client", i), "", 0)
			}
			if err == nil && i%2 == 0 {
				err = ca.Revoke(fmt.Sprint("client", i))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ca, err := tlsconf.OpenCA(dir)
	require.NoError(t, err)
	list, err := ca.List()
	require.NoError(t, err)
	require.Len(t, list, 8)
	for _, is := range list {
		require.Equal(t, is.Name[6]%2 == 0, !is.Revoked.IsZero(), is.Name)
	}
}

// openssl verifies the certificates too.
func TestOpenSSLVerifiesCertificates(t *testing.T) {
	openssl := testkit.NeedProgram(t, "openssl", "openssl")
	ca, dir := newCA(t, "ours")
	_, err := ca.IssueServer("daemon", []string{"dhcp1.example", "192.0.2.1"}, 0)
	require.NoError(t, err)
	_, err = ca.IssueClient("ann", "spiffe://example/ann", 0)
	require.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	verify := func(args ...string) (string, error) {
		args = append([]string{"verify", "-x509_strict", "-crl_check", "-CAfile", at("ca.pem"), "-CRLfile", at("crl.pem")}, args...)
		out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{
		{"-purpose", "sslserver", "-verify_hostname", "dhcp1.example", at("daemon.pem")},
		{"-purpose", "sslserver", "-verify_ip", "192.0.2.1", at("daemon.pem")},
		{"-purpose", "sslclient", at("ann.pem")},
	} {
		out, err := verify(args...)
		require.NoError(t, err, out)
	}
	_, err = verify("-purpose", "sslclient", at("daemon.pem"))
	require.Error(t, err)
	require.NoError(t, ca.Revoke("ann"))
	out, err := verify("-purpose", "sslclient", at("ann.pem"))
	require.Error(t, err)
	require.Contains(t, out, "certificate revoked")

	text, err := exec.CommandContext(t.Context(), openssl, "x509", "-noout", "-fingerprint", "-sha256", "-in", at("ann.pem")).Output()
	require.NoError(t, err)
	_, digits, _ := strings.Cut(strings.TrimSpace(string(text)), "=")
	fingerprint, err := tlsconf.ParseFingerprint("sha256:" + digits)
	require.NoError(t, err)
	list, err := ca.List()
	require.NoError(t, err)
	require.Equal(t, list[1].Fingerprint, fingerprint)
}
