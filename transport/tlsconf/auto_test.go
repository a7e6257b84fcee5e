package tlsconf_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// Another start changes nothing, unless a file is missing or a certificate ends soon.
func TestAutoChangesNothingThatIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state", "pki")
		text := func(name string) string { return string(read(t, filepath.Join(dir, name))) }
		auto := func(hosts ...string) {
			t.Helper()
			_, err := tlsconf.Auto(dir, hosts)
			require.NoError(t, err)
		}
		auto("localhost", "127.0.0.1")
		ca, server, admin := text("ca.pem"), text("server.pem"), text("admin.pem")
		same := func() []bool {
			return []bool{text("ca.pem") == ca, text("server.pem") == server, text("admin.pem") == admin}
		}
		auto("127.0.0.1")
		require.Equal(t, []bool{true, true, true}, same())

		auto("dhcp1.example", "localhost") // a name that it lacks
		require.Equal(t, []bool{true, false, true}, same())
		server = text("server.pem")
		auto("localhost", "127.0.0.1", "dhcp1.example") // another daemon's have stayed
		auto("127.0.0.1")
		require.Equal(t, []bool{true, true, true}, same())

		time.Sleep(240 * 24 * time.Hour)
		auto("localhost")
		require.Equal(t, []bool{true, true, true}, same())
		time.Sleep(5 * 24 * time.Hour) // less than a third is left
		auto("localhost")
		require.Equal(t, []bool{true, false, false}, same())

		server, admin = text("server.pem"), text("admin.pem")
		put(t, filepath.Join(dir, "server.key"), []byte(text("admin.key")), 0o600) // as a power cut might leave it
		require.NoError(t, os.Remove(filepath.Join(dir, "admin.pem")))
		auto("localhost")
		require.Equal(t, []bool{true, false, false}, same())

		admin = text("admin.pem")
		opened, err := tlsconf.OpenCA(dir)
		require.NoError(t, err)
		require.NoError(t, opened.Revoke("admin"))
		auto("localhost")
		require.NotEqual(t, admin, text("admin.pem"))
	})
}

// Auto does not repair these folders.
func TestAutoRefusesBrokenFolders(t *testing.T) {
	dir := t.TempDir()
	_, err := tlsconf.Auto(dir, []string{"0.0.0.0"})
	require.ErrorContains(t, err, `"0.0.0.0" is neither a host name nor an address that clients can dial`)
	_, err = tlsconf.Auto(dir, nil)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Join(dir, "server.key"), 0o644))
	_, err = tlsconf.Auto(dir, nil)
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(filepath.Join(dir, "server.key"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, "ca.pem")))
	_, err = tlsconf.Auto(dir, nil)
	require.ErrorContains(t, err, "bring it back")
}

// The files of a CA that has issued nothing before a power cut are replaced.
func TestAutoAfterPowerCut(t *testing.T) {
	_, dir := newCA(t, "ours")
	require.NoError(t, os.Remove(filepath.Join(dir, "ca.pem")))
	_, err := tlsconf.Auto(dir, nil)
	require.NoError(t, err)
}

// Daemons that start at the same time in one folder use one CA.
func TestConcurrentAutosUseOneCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := tlsconf.Auto(dir, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ca, err := tlsconf.OpenCA(dir)
	require.NoError(t, err)
	list, err := ca.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	s, err := tlsconf.Auto(dir, nil)
	require.NoError(t, err)
	_, err = s.Config(tls.RequireAndVerifyClientCert)
	require.NoError(t, err)
}
