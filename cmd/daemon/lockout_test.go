package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"
	"github.com/rudderpost/rudderpost/wire"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// A lockoutEnv is the directory of a daemon with a CA, a client certificate "ops", the user and the token of an
// administrator, and one listener that a test uses besides the UNIX socket of root.
type lockoutEnv struct {
	dir, address string
	token        string
}

func newLockoutEnv(t *testing.T) *lockoutEnv {
	t.Helper()
	r := &lockoutEnv{dir: testkit.ShortDir(t), address: testkit.Port(t)}
	for _, name := range []string{"pki", "other"} {
		ca, err := tlsconf.CreateCA(filepath.Join(r.dir, name), name)
		require.NoError(t, err)
		_, err = ca.IssueServer("server", []string{"127.0.0.1", "localhost", "ops.example"}, 24*time.Hour)
		require.NoError(t, err)
		_, err = ca.IssueClient("ops", "ops", 24*time.Hour)
		require.NoError(t, err)
		_, err = ca.IssueServer("elsewhere", []string{"127.0.0.1"}, 24*time.Hour)
		require.NoError(t, err)
	}
	users, err := secrets.OpenUsers(filepath.Join(r.dir, "users"))
	require.NoError(t, err)
	require.NoError(t, users.Add("ann", "admin", "correct horse"))
	_, err = secrets.OpenUsers(filepath.Join(r.dir, "no-users"))
	require.NoError(t, err)
	tokens, err := secrets.OpenTokens(filepath.Join(r.dir, "tokens"))
	require.NoError(t, err)
	r.token, err = tokens.Mint("ci", "admin", time.Time{})
	require.NoError(t, err)
	return r
}

// Parts of a configuration.
const (
	envFiles  = "cert = \"pki/server.pem\"\nkey = \"pki/server.key\"\nclient-ca = \"pki/ca.pem\"\n"
	envTokens = "[auth]\ntokens-file = \"tokens\"\nusers-file = \"users\"\n"
	envCert   = "[[principal]]\nsubject = \"cert:ops\"\nrole = \"admin\"\n"
)

// listenTable returns a [[listen]] at the address of the environment.
func (r *lockoutEnv) listenTable(transport, more string) string {
	return fmt.Sprintf("[[listen]]\ntransport = %q\naddress = %q\n%s", transport, r.address, more)
}

// credentials returns the client configuration for a kind of credential.
func (r *lockoutEnv) credentials(kind string) (id targets.ClientConfig) {
	switch kind {
	case "cert":
		id.CA, id.Cert, id.Key = filepath.Join(r.dir, "pki", "ca.pem"), filepath.Join(r.dir, "pki", "ops.pem"), filepath.Join(r.dir, "pki", "ops.key")
	case "token":
		id.Claim.Token = r.token
	case "user":
		id.Claim.User, id.Claim.Password = "ann", "correct horse"
	case "secure token":
		id.CA, id.Claim.Token = filepath.Join(r.dir, "pki", "ca.pem"), r.token
	}
	return id
}

// reloadBy sends config-reload through a dialer.
func reloadBy(t *testing.T, at transport.Dialer, arguments string) wire.Reply {
	t.Helper()
	request := wire.Request{Command: "config-reload"}
	if arguments != "" {
		request.Arguments = wire.Value(arguments)
	}
	reply, err := client.Do(t.Context(), at, request)
	require.NoError(t, err)
	return reply
}

// requireLockedOut checks that a reply refuses a transaction for one reason.
func requireLockedOut(t *testing.T, reply wire.Reply, want string) {
	t.Helper()
	require.Equal(t, wire.CodeConflict, reply.Code, reply.Text)
	refusal, ok := errors.AsType[*wire.Error](reply.Err())
	require.True(t, ok)
	require.Equal(t, "locked-out", refusal.Word)
	require.Contains(t, reply.Text, want)
	require.Contains(t, reply.Text, "say force to")
	require.NotEmpty(t, refusal.Fields)
}

// Each case changes the caller's listener so that the caller could not make another change.
func TestTransactionThatLocksOutItsCallerIsRefused(t *testing.T) {
	type change struct{ name, before, after, want string }
	for _, way := range []struct {
		scheme, transport, keys, rest, id string
		more                              []change
	}{
		{"tcp", "tcp", "insecure = true\nanonymous = \"admin\"\nmax-access = \"admin\"\n", "", "", []change{
			{"anonymous role", `anonymous = "admin"`, `anonymous = "monitor"`, "'config-reload' is not allowed for anonymous:monitor"},
			{"default ceiling", "max-access = \"admin\"\n", "", "max-access: 'config-reload' is not allowed through"},
		}},
		{"tls", "tcp", envFiles, envCert, "cert", []change{
			{"client CA", "pki/ca.pem", "other/ca.pem", "the listener does not accept the certificate of cert:ops"},
			{"policy", `role = "admin"`, `role = "operator"`, "'config-reload' is not allowed for cert:ops"},
		}},
		{"quic", "quic", envFiles, envCert, "cert", []change{
			{"policy", `role = "admin"`, `role = "operator"`, "'config-reload' is not allowed for cert:ops"},
		}},
		{"https", "http", envFiles, envCert, "cert", []change{
			{"client CA", "client-ca = \"pki/ca.pem\"\n", "client-ca = \"other/ca.pem\"\n", "the listener does not accept the certificate of cert:ops"},
			{"policy", `role = "admin"`, `role = "operator"`, "'config-reload' is not allowed for cert:ops"},
		}},
		{"http", "http", "insecure = true\n", envTokens, "token", []change{
			{"tokens-file", "tokens-file = \"tokens\"\n", "", "auth.tokens-file: the new configuration has none"},
			{"other tokens-file", `"tokens"`, `"none-there"`, "'config-reload' is not allowed for token:ci"},
		}},
		{"http", "http", "insecure = true\n", envTokens, "user", []change{
			{"users-file", "users-file = \"users\"\n", "", "auth.users-file: the new configuration has none"},
			{"other users-file", `"users"`, `"no-users"`, "'config-reload' is not allowed for user:ann"},
		}},
		{"wss", "websocket", envFiles, envCert, "cert", []change{
			{"origins", "client-ca = \"pki/ca.pem\"\n", "client-ca = \"pki/ca.pem\"\nallow-origins = [\"https://a.example\"]\n", "the listener would not ask for certificates"},
			{"client CA", "pki/ca.pem", "other/ca.pem", "the listener does not accept the certificate of cert:ops"},
		}},
		{"ws", "websocket", "insecure = true\n", envTokens, "token", []change{
			{"tokens-file", "tokens-file = \"tokens\"\n", "", "auth.tokens-file: the new configuration has none"},
		}},
	} {
		for _, c := range append(way.more,
			change{"ceiling", "address = ", "max-access = \"write\"\naddress = ", "max-access: 'config-reload' is not allowed through"},
			change{"removed", "", "", "there would be no listener for " + way.scheme},
		) {
			t.Run(way.scheme+" "+way.id+" "+c.name, func(t *testing.T) {
				t.Parallel()
				r := newLockoutEnv(t)
				rest := way.rest
				if c.name == "origins" {
					rest += envTokens
				}
				before := "state-dir = \"run\"\n" + oneSocket + r.listenTable(way.transport, way.keys) + rest
				after := strings.Replace(before, c.before, c.after, 1)
				if c.name == "ceiling" {
					after = strings.ReplaceAll(strings.Replace(before, "max-access = \"admin\"\n", "", 1), c.before, c.after)
				}
				if c.name == "removed" {
					after = "state-dir = \"run\"\n" + oneSocket + rest
				}
				require.NotEqual(t, before, after)
				p := startIn(t, r.dir, before)
				p.urls(2)
				at, err := targets.Parse(way.scheme+"://"+r.address, r.credentials(way.id))
				require.NoError(t, err)
				require.Equal(t, wire.CodeSuccess, reloadBy(t, at, "").Code)
				state, hash := p.configState(), p.configHash()
				writeConfig(t, r.dir, after)
				requireLockedOut(t, reloadBy(t, at, ""), c.want)
				require.Equal(t, state, p.configState())
				require.Equal(t, hash, p.configHash())
				reply := reloadBy(t, at, `{"force":true}`)
				require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
				require.NotEqual(t, hash, p.configHash())
				p.stop()
			})
		}
	}
}

// Another listener allows a transaction only if the caller's credentials are valid there.
func TestListenerForOtherCredentialsDoesNotPreventRefusal(t *testing.T) {
	r := newLockoutEnv(t)
	other := testkit.Port(t)
	before := oneSocket + r.listenTable("tcp", envFiles) + fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\naddress = %q\ncert = \"other/server.pem\"\nkey = \"other/server.key\"\nclient-ca = \"other/ca.pem\"\n", other) + envCert
	p := startIn(t, r.dir, before)
	at, err := targets.Parse("tls://"+r.address, r.credentials("cert"))
	require.NoError(t, err)
	writeConfig(t, r.dir, strings.Replace(before, r.listenTable("tcp", envFiles), "", 1))
	requireLockedOut(t, reloadBy(t, at, ""), "listen 2: the listener does not accept the certificate of cert:ops")

	writeConfig(t, r.dir, strings.Replace(strings.Replace(before, r.listenTable("tcp", envFiles), "", 1), "other/ca.pem", "pki/ca.pem", 1))
	reply := reloadBy(t, at, "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	p.stop()
}

func TestCallersHostMustStayAllowed(t *testing.T) {
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			r := newLockoutEnv(t)
			kind := map[string]string{"http": "http", "ws": "websocket"}[scheme]
			before := oneSocket + r.listenTable(kind, "insecure = true\nallow-hosts = [\"ops.example\"]\n") + envTokens
			p := startIn(t, r.dir, before)
			p.urls(2)
			writeConfig(t, r.dir, strings.Replace(before, "ops.example", "dev.example", 1))
			direct, err := targets.Parse(scheme+"://"+r.address, r.credentials("token"))
			require.NoError(t, err)
			text := r.reloadAs(t, scheme, "ops.example")
			require.Contains(t, text, `allow-hosts: the caller uses the host name \"ops.example\"`)
			require.Contains(t, text, "locked-out")
			reply := reloadBy(t, direct, "")
			require.Equal(t, wire.CodeSuccess, reply.Code, "an address is always allowed: %s", reply.Text)
			p.stop()
		})
	}
}

// reloadAs sends config-reload with a host name in the request, and returns the reply.
func (r *lockoutEnv) reloadAs(t *testing.T, scheme, host string) string {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + r.token}, "Content-Type": {"application/json"}}
	if scheme == "http" {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address+"/", strings.NewReader(`{"command":"config-reload"}`))
		require.NoError(t, err)
		request.Host, request.Header = host, header
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	dialer := gorilla.Dialer{NetDial: func(network, _ string) (net.Conn, error) { return net.Dial(network, r.address) }}
	header.Del("Content-Type")
	ws, response, err := dialer.DialContext(t.Context(), "ws://"+host+"/", header)
	require.NoError(t, err)
	defer response.Body.Close()
	defer ws.Close()
	require.NoError(t, ws.WriteMessage(gorilla.TextMessage, []byte(`{"command":"config-reload"}`)))
	_, text, err := ws.ReadMessage()
	require.NoError(t, err)
	return string(text)
}

func TestCallersOriginMustStayAllowed(t *testing.T) {
	r := newLockoutEnv(t)
	before := oneSocket + r.listenTable("websocket", "insecure = true\nallow-origins = [\"https://a.example\"]\n") + envTokens
	p := startIn(t, r.dir, before)
	p.urls(2)
	writeConfig(t, r.dir, strings.Replace(before, "a.example", "b.example", 1))
	page := &websocket.Transport{Address: r.address, Credentials: r.credentials("token").Claim, Origin: "https://a.example"}
	requireLockedOut(t, reloadBy(t, page, ""), `allow-origins: the caller is a page of the origin "https://a.example"`)
	p.stop()
}

// The name that a client dials must be in the next certificate.
func TestCallersServerNameMustStayInCertificate(t *testing.T) {
	for scheme, kind := range map[string]string{"tls": "tcp", "https": "http", "wss": "websocket"} {
		t.Run(scheme, func(t *testing.T) {
			r := newLockoutEnv(t)
			before := oneSocket + r.listenTable(kind, envFiles) + envCert
			p := startIn(t, r.dir, before)
			p.urls(2)
			writeConfig(t, r.dir, strings.ReplaceAll(before, "pki/server.", "pki/elsewhere."))
			named, err := targets.Parse(scheme+"://"+strings.Replace(r.address, "127.0.0.1", "localhost", 1), r.credentials("cert"))
			require.NoError(t, err)
			requireLockedOut(t, reloadBy(t, named, ""), "elsewhere.pem: x509: certificate is not valid for any names, but wanted to match localhost")
			direct, err := targets.Parse(scheme+"://"+r.address, r.credentials("cert"))
			require.NoError(t, err)
			reply := reloadBy(t, direct, "")
			require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			p.stop()
		})
	}
}

// The mode of a socket and of the folders above it can exclude a user without root's rights.
func TestSocketModeThatExcludesCallerIsRefused(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "closed"), 0o700))
	before := oneSocket + "mode = \"0666\"\n[[principal]]\nsubject = \"uid:65534\"\nrole = \"admin\"\n"
	p := startIn(t, dir, before)
	program := filepath.Join(testkit.ShortDir(t), "client")
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, text, 0o755))
	reload := func(arguments string) string {
		cmd := exec.Command(program)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), beClient+"="+p.listening(), beClient+"_ARGUMENTS="+arguments)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	for name, c := range map[string]struct{ after, want string }{
		"mode":   {strings.Replace(before, "0666", "0660", 1), "would have mode 0660, with which uid 65534 cannot connect"},
		"folder": {strings.Replace(before, "control.sock", "closed/control.sock", 1), "closed has mode 0700, with which uid 65534 cannot enter it"},
	} {
		writeConfig(t, dir, c.after)
		out := reload("")
		require.Contains(t, out, c.want, name)
		require.Contains(t, out, "locked-out")
	}
	writeConfig(t, dir, before)
	require.Contains(t, reload(""), "Configuration successful.")
	p.stop()
}

// Each case sends config-set through the UNIX socket; the new limit would prevent the owner from sending it again.
func TestLimitThatExcludesCallerIsRefused(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "wait")
	p := startIn(t, dir, oneSocket+"[[hook]]\nname = \"wait\"\nexec = [\"wait\"]\n")
	at := &unix.Transport{Path: p.listening()}
	set := func(limits, more string) wire.Reply {
		reply, err := wire.DecodeReply([]byte(p.exchange(`{"command":"config-set","arguments":{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{` + limits + `}}` + more + `}}`)))
		require.NoError(t, err)
		return reply
	}
	var held []*client.Client
	for range 8 {
		c, err := client.Dial(t.Context(), at)
		require.NoError(t, err)
		_, err = c.Do(t.Context(), wire.Request{Command: "whoami"})
		require.NoError(t, err)
		held = append(held, c)
	}
	for _, c := range held { // a conn with a command in flight is not closed for another one
		go func() { _, _ = c.Do(t.Context(), wire.Request{Command: "wait"}) }()
	}
	testkit.Eventually(t, func() bool {
		sessions, _ := p.command("session-list", "").Arguments.(wire.Value)
		return strings.Count(string(sessions), `"wait"`) == len(held)
	}, "the commands do not run")
	requireLockedOut(t, set(`"max-conns":5`, ""), "limits.max-conns: the listener has ")
	requireLockedOut(t, set(`"max-conns-per-peer":5`, ""), "limits.max-conns-per-peer: uid:")
	requireLockedOut(t, set(`"max-frame":"1KiB"`, strings.Repeat(" ", 2000)), "max-frame: the request that makes this change has 2")
	requireLockedOut(t, set(`"max-buffered":"256KiB"`, strings.Repeat(" ", 70000)), "limits.max-buffered: the request that makes this change has 70")
	for _, c := range held {
		require.NoError(t, c.Close())
	}
	testkit.Eventually(t, func() bool { return set(`"max-conns":5,"max-conns-per-peer":5`, "").Code == wire.CodeSuccess }, "the limit refuses although conns have closed")
	require.Equal(t, wire.CodeSuccess, set(`"max-frame":"1KiB"`, "").Code)
	p.stop()
}

// Each limit has a minimum, with which the owner can still send commands.
func TestMinimumLimitsLetOwnerSendCommands(t *testing.T) {
	least := map[string]struct{ below, least string }{
		"max-frame": {`"1023B"`, `"1KiB"`}, "max-in-flight": {"0", "1"}, "max-in-flight-per-peer": {"3", "4"}, "max-queued": {"3", "4"},
		"max-buffered": {`"262143B"`, `"256KiB"`}, "max-conns": {"1", "2"}, "max-conns-per-peer": {"1", "2"}, "max-rate": {"-1", "1"},
		"idle-timeout": {`"999ms"`, `"1s"`}, "frame-timeout": {`"999ms"`, `"1s"`}, "write-timeout": {`"999ms"`, `"1s"`},
		"keep-alive": {`"999ms"`, `"1s"`}, "max-buffered-per-peer": {`"65535B"`, `"64KiB"`},
		"drain-timeout": {`"99ms"`, `"100ms"`}, "critical-timeout": {`"9ms"`, `"10ms"`}, "slow-command": {`"-1ns"`, `"0s"`},
	}
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	state := p.configState()
	set := func(key, value, more string) wire.Reply {
		return p.command("config-set", `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{"`+key+`":`+value+`}}`+more+`}`)
	}
	for f := range reflect.TypeFor[Limits]().Fields() {
		key := keyOf(f)
		if f.Type.Kind() == reflect.Bool { // keep-conns
			continue
		}
		c, ok := least[key]
		require.True(t, ok, "%s has no least value in this test", key)
		for _, force := range []string{"", `,"force":true`} {
			reply := set(key, c.below, force)
			require.Equal(t, wire.CodeError, reply.Code, "%s = %s", key, c.below)
			require.Contains(t, reply.Text, "limits."+key+": must be")
		}
	}
	require.Equal(t, state, p.configState())
	var all []string
	for key, c := range least { // max-rate = 1 may be in force
		testkit.Eventually(t, func() bool { return set(key, c.least, "").Code == wire.CodeSuccess }, "%s = %s is refused", key, c.least)
		all = append(all, fmt.Sprintf("%q:%s", key, c.least))
	}
	together := `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{` + strings.Join(all, ",") + `}}}`
	testkit.Eventually(t, func() bool { return p.command("config-set", together).Code == wire.CodeSuccess }, "the least limits together")
	testkit.Eventually(t, func() bool { return set("max-queued", "64", "").Code == wire.CodeSuccess }, "the owner cannot send commands with the minimum limits")
	p.stop()
}

// Root locked itself out with an idle-timeout of a nanosecond.
func TestTinyIdleTimeoutIsRefused(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), oneSocket)
	reply := p.command("config-set", `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}],"limits":{"idle-timeout":"1ns"}}}`)
	require.Equal(t, wire.CodeError, reply.Code, reply.Text)
	require.Contains(t, reply.Text, "limits.idle-timeout: must be at least 1s")
	require.Equal(t, wire.CodeSuccess, p.command("whoami", "").Code)
	p.stop()
}

// In a network namespace whose loopback interface is down, a TCP listener opens, but no client can reach it. A firewall
// has the same effect. The transaction is refused before the commit.
func TestListenerThatAcceptsNoConnectionIsRefused(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil || exec.Command(unshare, "-n", "true").Run() != nil {
		testkit.SkipOrFail(t, "unshare -n does not work here")
	}
	for transport, keys := range map[string]string{"tcp": "pki = \"auto\"\n", "quic": "pki = \"auto\"\n", "http": "pki = \"auto\"\n", "websocket": "pki = \"auto\"\n"} {
		t.Run(transport, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			writeConfig(t, dir, "state-dir = \"run\"\n"+oneSocket)
			self, err := os.Executable()
			require.NoError(t, err)
			p := startCommand(t, dir, nil, exec.Command(unshare, "-n", self, "-c", "config.toml"))
			p.listening()
			state := p.configState()
			writeConfig(t, dir, "state-dir = \"run\"\n"+oneSocket+fmt.Sprintf("[[listen]]\ntransport = %q\naddress = \"0.0.0.0:7443\"\n", transport)+keys)
			reply := p.command("config-reload", "")
			requireLockedOut(t, reply, "listen 2 ("+transport+") does not accept connections: ")
			require.Equal(t, state, p.configState())
			require.Equal(t, wire.CodeSuccess, p.command("config-reload", `{"force":true}`).Code)
			p.stop()
		})
	}
}

// The probe of a new listener does not reach the transport: it is neither a refused handshake nor a conn.
func TestProbeOfNewListenerIsNotSeenByTransport(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+oneSocket)
	config := "state-dir = \"run\"\n" + oneSocket + "[auth]\ntokens-file = \"tokens\"\n[audit]\nfile = \"audit.jsonl\"\n"
	for _, transport := range []string{"tcp", "quic", "http", "websocket"} {
		config += fmt.Sprintf("[[listen]]\ntransport = %q\naddress = \"127.0.0.1:0\"\npki = \"auto\"\n", transport)
	}
	writeConfig(t, dir, config)
	reply := p.command("config-reload", "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	for _, url := range p.urls(5)[1:] {
		at, err := targets.Parse(url, targets.ClientConfig{PKI: filepath.Join(dir, "run", "pki")})
		require.NoError(t, err)
		reply, err := client.Do(t.Context(), at, wire.Request{Command: "whoami"})
		require.NoError(t, err, url)
		require.Equal(t, wire.CodeSuccess, reply.Code)
	}
	arguments, _ := p.command("metrics-get", `{"prefix":"rudderpost_"}`).Arguments.(wire.Value)
	require.NotContains(t, string(arguments), `"EOF"`)
	p.stop()
	require.NotContains(t, p.Err.String(), "refused")
	record, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	require.NoError(t, err)
	require.NotContains(t, string(record), "refused")
}
