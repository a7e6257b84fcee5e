package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const oneSocket = `
[[listen]]
transport = "unix"
path = "control.sock"
`

// runCheck runs rudderpostd -c FILE -check.
func runCheck(file string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run([]string{"-c", file, "-check"}, &out, &err)
	return status, out.String(), err.String()
}

func TestCheckReportsResult(t *testing.T) {
	for name, config := range map[string]string{
		"one socket":        oneSocket,
		"sizes":             oneSocket + "[limits]\nmax-frame = 65536\nmax-buffered = \"1GiB\"\n",
		"durations":         oneSocket + "[limits]\nidle-timeout = \"1m30s\"\n",
		"mode without zero": oneSocket + "mode = \"660\"\ngroup = \"0\"\n",
		"inline":            `listen = [{transport = "unix", path = "a"}, {transport = "unix", path = "b"}]`,
		"any rate":          oneSocket + "[limits]\nmax-rate = 0\n",
		"every level":       "log-level = \"debug\"\nlog-format = \"json\"\n" + oneSocket,
		"quoted key":        "\"log-level\" = 'warn'\n" + oneSocket,
		"comments, CRLF":    "# hello\r\nlog-level = \"error\" # yes\r\n" + oneSocket,
		"absolute path":     "state-dir = \"/nonexistent/state\"\n" + oneSocket,
		"roles": oneSocket + `
[[role]]
name = "dns"
allow = ["read", "zone-*"]
deny = ["zone-delete-all"]
arguments = [{ commands = ["zone-*"], pointer = "/zone", values = ["a.example", 7, true, 1.5] }]
[[principal]]
subject = "cert:dns.example"
role = "dns"
[[principal]]
subject = "gid:27"
role = "monitor"
[[principal]]
subject = "socket-group"
role = "dns"
`,
		"an anonymous role":  oneSocket + "[[role]]\nname = \"look\"\nallow = [\"status-get\"]\n[[listen]]\ntransport = \"tcp\"\ninsecure = true\naddress = \"127.0.0.1:1\"\nanonymous = \"look\"\n",
		"nearly 1 MiB of it": oneSocket + strings.Repeat("# comment\n", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runCheck(writeConfig(t, t.TempDir(), config))
			require.Empty(t, stderr)
			require.Equal(t, "the configuration is good\n", stdout)
			require.Zero(t, status)
		})
	}
}

// listenTable returns a [[listen]] with keys.
func listenTable(kind, keys string) string {
	return "state-dir = \"run\"\n[[listen]]\ntransport = \"" + kind + "\"\n" + keys + "\n"
}

const (
	addressKey = "address = \"127.0.0.1:7\"\n"
	withAuth   = "[auth]\ntokens-file = \"tokens\"\n"
	certKeys   = "cert = \"c\"\nkey = \"k\"\n"
)

func TestCheckListeners(t *testing.T) {
	for name, config := range map[string]string{
		"tls":              listenTable("tcp", addressKey+certKeys+"client-ca = \"ca\""),
		"tls, auto":        listenTable("tcp", addressKey+"pki = \"auto\""),
		"any address":      listenTable("quic", "address = \":7443\"\npki = \"auto\""),
		"tcp, raised":      listenTable("tcp", addressKey+"insecure = true\nanonymous = \"operator\"\nmax-access = \"write\""),
		"unix, lowered":    listenTable("unix", "path = \"x\"\nmax-access = \"read\""),
		"tls, lowered":     listenTable("tcp", addressKey+"pki = \"auto\"\nmax-access = \"write\""),
		"quic, lowered":    listenTable("quic", addressKey+"pki = \"auto\"\nmax-access = \"read\""),
		"ws, lowered":      listenTable("websocket", addressKey+"pki = \"auto\"\nmax-access = \"read\""),
		"http":             listenTable("http", addressKey+"insecure = true\n"+withAuth),
		"https, passwords": listenTable("http", addressKey+certKeys+withAuth),
		"wss":              listenTable("websocket", addressKey+"pki = \"auto\"\nallow-hosts = [\"a\"]\nallow-origins = [\"https://a\"]\n"+withAuth),
		"passed":           listenTable("tcp", "socket = \"ctl\"\npki = \"auto\""),
		"same port, UDP":   listenTable("tcp", addressKey+"pki = \"auto\"") + "[[listen]]\ntransport = \"quic\"\n" + addressKey + "pki = \"auto\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			status, _, stderr := runCheck(writeConfig(t, t.TempDir(), config))
			require.Empty(t, stderr)
			require.Zero(t, status)
		})
	}
	// Every combination that would accept clients without authentication is refused, with a remedy.
	for _, c := range []struct{ name, config, want string }{
		{"nothing", listenTable("tcp", addressKey), `cert and key: missing; write pki = "auto", or make them with`},
		{"no client-ca", listenTable("tcp", addressKey+certKeys), "client-ca: missing; clients authenticate with certificates here"},
		{"no client-ca, quic", listenTable("quic", addressKey+certKeys+withAuth), "client-ca: missing; clients authenticate"},
		{"https without anything", listenTable("http", addressKey+certKeys), "no client could authenticate"},
		{"http without auth", listenTable("http", addressKey+"insecure = true"), "set users-file or tokens-file in [auth]"},
		{"ws without auth", listenTable("websocket", addressKey+"insecure = true"), "set users-file or tokens-file in [auth]"},
		{"tcp without role", listenTable("tcp", addressKey+"insecure = true"), `anonymous: missing; without TLS clients have no credentials`},
		{"insecure to the world", listenTable("http", "address = \"0.0.0.0:8000\"\ninsecure = true\n"+withAuth), `insecure: "0.0.0.0" is not loopback`},
		{"insecure everywhere", listenTable("http", "address = \":8000\"\ninsecure = true\n"+withAuth), `insecure: "" is not loopback`},
		{"insecure quic", listenTable("quic", addressKey+"insecure = true"), "insecure: is not a key of quic"},
		{"insecure and secure", listenTable("tcp", addressKey+"insecure = true\npki = \"auto\"\nanonymous = \"monitor\""), "insecure: cannot be combined with TLS settings"},
		{"anonymous with TLS", listenTable("tcp", addressKey+"pki = \"auto\"\nanonymous = \"monitor\""), "anonymous: with TLS all clients have credentials"},
		{"a ceiling that is none", listenTable("tcp", addressKey+"insecure = true\nanonymous = \"monitor\"\nmax-access = \"all\""), `max-access: "all" is none of read, write and admin`},
		{"a ceiling of nothing, unix", listenTable("unix", "path = \"x\"\nmax-access = \"none\""), `max-access: "none" is none of read, write and admin`},
		{"two kinds of PKI", listenTable("tcp", addressKey+certKeys+"pki = \"auto\""), `pki: "auto" makes cert, key, client-ca and crl itself`},
		{"another PKI", listenTable("tcp", addressKey+"pki = \"acme\""), `pki: "acme" is not "auto"`},
		{"no state-dir", "[[listen]]\ntransport = \"tcp\"\n" + addressKey + "pki = \"auto\"\n", `pki: "auto" keeps its files in state-dir, which is not set`},
		{"crl without client-ca", listenTable("http", addressKey+certKeys+"crl = \"x\"\n"+withAuth), "crl: revokes clients' certificates, and there is no client-ca"},
		{"pages without auth", listenTable("websocket", addressKey+"pki = \"auto\"\nallow-origins = [\"https://a\"]"), "allow-origins: a listener for browsers asks for no certificates"},
		{"anonymous of no role", listenTable("tcp", addressKey+"insecure = true\nanonymous = \"monitr\""), `anonymous: there is no role "monitr"; there are monitor, operator, admin`},
		{"a principal of no role", oneSocket + "[[principal]]\nsubject = \"uid:7\"\nrole = \"amdin\"\n", `principal 1, "uid:7": `},
		{"a principal of no kind", oneSocket + "[[principal]]\nsubject = \"user\"\nrole = \"admin\"\n", `principal 1, "user": there is no such kind of subject`},
		{"a principal twice", oneSocket + "[[principal]]\nsubject = \"uid:7\"\nrole = \"admin\"\n[[principal]]\nsubject = \"uid:7\"\nrole = \"monitor\"\n", `principal 2, "uid:7": it has a role already`},
		{"a role of nothing", oneSocket + "[[role]]\nname = \"x\"\n", `it allows nothing and denies nothing`},
		{"a role that is built in", oneSocket + "[[role]]\nname = \"admin\"\nallow = [\"read\"]\n", `"admin"`},
		{"a role twice", oneSocket + "[[role]]\nname = \"x\"\nallow = [\"read\"]\n[[role]]\nname = \"x\"\nallow = [\"read\"]\n", `"x"`},
		{"a role's pointer", oneSocket + "[[role]]\nname = \"x\"\nallow = [\"read\"]\narguments = [{ commands = [\"*\"], pointer = \"zone\", values = [\"a\"] }]\n", `pointer`},
		{"a role's values", oneSocket + "[[role]]\nname = \"x\"\nallow = [\"read\"]\narguments = [{ commands = [\"*\"], pointer = \"/zone\", values = [[\"a\"]] }]\n", `value`},
		{"a role's key", oneSocket + "[[role]]\nname = \"x\"\nalow = [\"read\"]\n", `there is no key "role.alow"; did you mean allow?`},
		{"no port", listenTable("tcp", "address = \"127.0.0.1\"\npki = \"auto\""), `address: "127.0.0.1" is not host:port`},
		{"a word for a port", listenTable("tcp", "address = \"127.0.0.1:https\"\npki = \"auto\""), `address: "https" is not a port number`},
		{"a path for tcp", listenTable("tcp", addressKey+"path = \"x\"\npki = \"auto\""), "path: is not a key of tcp; its keys are address, pki"},
		{"an address for unix", listenTable("unix", "path = \"x\"\n"+addressKey), "address: is not a key of unix"},
		{"proxies of unix", listenTable("unix", "path = \"x\"\ntrusted-proxies = [\"192.0.2.1\"]"), "trusted-proxies: is not a key of unix"},
		{"proxies of quic", listenTable("quic", addressKey+"pki = \"auto\"\nproxy-protocol = true"), "proxy-protocol: is not a key of quic"},
		{"a name for a proxy", listenTable("http", addressKey+"pki = \"auto\"\ntrusted-proxies = [\"proxy.example\"]"), `trusted-proxies: "proxy.example" is not an address such as "192.0.2.1", and no network`},
		{"all addresses as proxies", listenTable("http", addressKey+"pki = \"auto\"\ntrusted-proxies = [\"0.0.0.0/0\"]"), `trusted-proxies: "0.0.0.0/0" has all addresses`},
		{"a protocol of no proxy", listenTable("http", addressKey+"pki = \"auto\"\nproxy-protocol = true"), "proxy-protocol: trusted-proxies is missing"},
		{"proxies of tcp without the protocol", listenTable("tcp", addressKey+"pki = \"auto\"\ntrusted-proxies = [\"192.0.2.1\"]"), "set proxy-protocol = true"},
		{"both sockets", listenTable("tcp", addressKey+"socket = \"x\"\npki = \"auto\""), "address: the passed socket has its own"},
		{"the same port", listenTable("tcp", addressKey+"pki = \"auto\"") + "[[listen]]\ntransport = \"http\"\n" + addressKey + "pki = \"auto\"\n", "listen 2: TCP address 127.0.0.1:7 is already used by listen 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := runCheck(writeConfig(t, t.TempDir(), c.config))
			require.Equal(t, 1, status)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
		})
	}
}

// An error names the file, the line, and what to write. FILE stands for the file name.
func TestConfigErrorNamesFileLineAndRemedy(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"syntax", "log-level = \"info\n" + oneSocket, "FILE:1: log-level: strings cannot contain newlines"},
		{"syntax below", oneSocket + "mode 0600\n", "FILE:5: listen: expected '.' or '=', but got '0' instead"},
		{"a key twice", "log-level = \"info\"\nlog-level = \"info\"\n", "FILE:2: log-level: Key 'log-level' has already been defined."},
		{"unknown key", "\nlog-levle = \"info\"\n" + oneSocket, `FILE:2: there is no key "log-levle"; did you mean log-level?`},
		{"unknown key, nothing near", "colour = \"red\"\n" + oneSocket,
			`FILE:1: there is no key "colour"; there are log-level, log-format, log-file, state-dir, config-backups, listen, access, role, principal, auth, limits`},
		{"unknown key of a listener", oneSocket + "pth = \"x\"\n", `FILE:5: there is no key "listen.pth"; did you mean path?`},
		{"unknown key of the second listener", oneSocket + oneSocket + "gruop = \"adm\"\n", `FILE:9: there is no key "listen.gruop"; did you mean group?`},
		{"unknown limit", oneSocket + "[limits]\n# many\nmax-connections = 7\n",
			`FILE:7: there is no key "limits.max-connections"; did you mean max-conns?`},
		{"dotted unknown limit", "limits.max-frames = 7\n" + oneSocket, `FILE:1: there is no key "limits.max-frames"; did you mean max-frame?`},
		{"unknown table", oneSocket + "[limit]\nmax-frame = 1\n", `FILE:5: there is no key "limit"; did you mean limits?`},
		{"case variant", "Log-Level = \"debug\"\n" + oneSocket, `FILE:1: there is no key "Log-Level"; did you mean log-level?`},
		{"case variant beside the key", "log-level = \"info\"\nLOG-LEVEL = \"debug\"\n" + oneSocket,
			`FILE:2: there is no key "LOG-LEVEL"; did you mean log-level?`},
		{"case variant below", oneSocket + "Path = \"x\"\n", `FILE:5: there is no key "listen.Path"; did you mean path?`},
		{"Go's name of a field", "LogLevel = \"debug\"\n" + oneSocket, `FILE:1: there is no key "LogLevel"; did you mean log-level?`},
		{"number for a string", "log-level = 7\n" + oneSocket, "FILE:1: log-level: write it as a string, in quotes: log-level = \"7\"\n"},
		{"string for a number", oneSocket + "[limits]\nmax-conns = \"many\"\n", "FILE:6: limits.max-conns: write a whole number, without quotes\n"},
		{"map for a list", "[listen]\npath = \"x\"\n", "FILE:1: listen: write [[listen]], with two brackets, once for each listener\n"},
		{"unit", oneSocket + "[limits]\nmax-frame = \"16MB\"\n", `FILE:6: limits.max-frame: "16MB" is not a size such as 65536, "64KiB" or "16MiB"`},
		{"no number", oneSocket + "[limits]\nmax-frame = \"MiB\"\n", `FILE:6: limits.max-frame: "MiB" is not a size such as 65536, "64KiB" or "16MiB"`},
		{"fraction", oneSocket + "[limits]\nmax-frame = 1.5\n", `FILE:6: limits.max-frame: 1.5 is not a size such as 65536, "64KiB" or "16MiB"`},
		{"overflow", oneSocket + "[limits]\nmax-frame = \"99999999999GiB\"\n", `is not a size such as`},
		{"negative", oneSocket + "[limits]\nmax-frame = \"-1KiB\"\n", "FILE: limits.max-frame: must be at least 1KiB"},
		{"zero", oneSocket + "[limits]\nmax-in-flight = 0\n", "FILE: limits.max-in-flight: must be at least 1"},
		{"negative rate", oneSocket + "[limits]\nmax-rate = -1\n", "FILE: limits.max-rate: must be 0 (no limit) or above"},
		{"tiny frame", oneSocket + "[limits]\nmax-frame = \"512B\"\n", "FILE: limits.max-frame: must be at least 1KiB"},
		{"duration without a unit", oneSocket + "[limits]\nidle-timeout = 10\n", `FILE:6: limits.idle-timeout: 10 is not a duration such as "10s" or "5m"`},
		{"no duration", oneSocket + "[limits]\nidle-timeout = \"soon\"\n", `FILE:6: limits.idle-timeout: "soon" is not a duration such as "10s" or "5m"`},
		{"negative duration", oneSocket + "[limits]\nidle-timeout = \"-1s\"\n", "FILE: limits.idle-timeout: must be at least 1s"},
		{"log level", "log-level = \"loud\"\n" + oneSocket, `FILE: log-level: "loud" is none of debug, info, warn and error`},
		{"log level that slog reads", "log-level = \"info+2\"\n" + oneSocket, `FILE: log-level: "info+2" is none of debug, info, warn and error`},
		{"log level in capitals", "log-level = \"INFO\"\n" + oneSocket, `FILE: log-level: "INFO" is none of debug, info, warn and error`},
		{"log format", "log-format = \"xml\"\n" + oneSocket, `FILE: log-format: "xml" is neither text nor json`},
		{"mode", oneSocket + "mode = \"rw\"\n", `FILE: listen 1: mode: "rw" is not a file mode such as "0600" or "0660"`},
		{"mode with more than permissions", oneSocket + "mode = \"4600\"\n", `FILE: listen 1: mode: "4600" is not a file mode`},
		{"mode 8", oneSocket + "mode = \"0680\"\n", `FILE: listen 1: mode: "0680" is not a file mode`},
		{"mode 0", oneSocket + "mode = \"0000\"\n", `FILE: listen 1: mode: "0000" is not a file mode`},
		{"mode as a number", oneSocket + "mode = 600\n", "FILE:5: listen.mode: write it as a string, in quotes: mode = \"0600\"\n"},
		{"no listener", "log-level = \"info\"\n", "FILE: there is no [[listen]], so no client could reach the daemon"},
		{"empty", "", "FILE: there is no [[listen]], so no client could reach the daemon"},
		{"no path", "[[listen]]\ntransport = \"unix\"\n", "FILE: listen 1: path: missing; it says where the socket is"},
		{"no transport", "[[listen]]\npath = \"x\"\n", `FILE: listen 1: transport: there is no ""; there are unix, tcp, websocket, quic and http`},
		{"unknown transport", oneSocket + "[[listen]]\ntransport = \"carrier-pigeon\"\npath = \"x\"\n", `FILE: listen 2: transport: there is no "carrier-pigeon"; there are unix, tcp`},
		{"one path twice", oneSocket + "[[listen]]\ntransport = \"unix\"\npath = \"./control.sock\"\n", "/control.sock is already used by listen 1"},
		{"negative slowness", oneSocket + "[limits]\nslow-command = \"-1s\"\n", "FILE: limits.slow-command: must be 0s (no monitoring) or above"},
		{"metrics at all addresses", oneSocket + "[metrics]\nlisten = \":9464\"\n", `FILE: metrics.listen: "" is not loopback, and the metrics listener has no authentication; use 127.0.0.1, and a proxy with TLS for other machines`},
		{"metrics for the network", oneSocket + "[metrics]\nlisten = \"192.0.2.1:9464\"\n", `FILE: metrics.listen: "192.0.2.1" is not loopback`},
		{"metrics without a port", oneSocket + "[metrics]\nlisten = \"127.0.0.1\"\n", `FILE: metrics.listen: "127.0.0.1" is not host:port such as "127.0.0.1:9464"`},
		{"metrics at no port", oneSocket + "[metrics]\nlisten = \"127.0.0.1:http\"\n", `FILE: metrics.listen: "http" is not a port number`},
		{"metrics nowhere", oneSocket + "[metrics]\nallow-hosts = [\"a\"]\n", "FILE: metrics.allow-hosts: needs listen"},
		{"2 MiB", oneSocket + strings.Repeat("# "+strings.Repeat("x", 1021)+"\n", 2048), "FILE: it is longer than 1048576 bytes"},
		{"no UTF-8", "log-level = \"\xff\"\n", "FILE:1: "},
		{"NUL", "log-level = \"a\x00\"\n", "FILE:1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeConfig(t, t.TempDir(), c.config)
			status, stdout, stderr := runCheck(file)
			require.Contains(t, strings.ReplaceAll(stderr, file, "FILE"), c.want)
			require.Regexp(t, "^rudderpostd: ", stderr)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "%s", stderr)
			require.Empty(t, stdout)
			require.Equal(t, 1, status)
		})
	}
}

// All errors are reported together.
func TestConfigErrorsAreReportedTogether(t *testing.T) {
	file := writeConfig(t, t.TempDir(), "log-levle = 1\ncolour = 2\n"+oneSocket)
	_, _, stderr := runCheck(file)
	require.Contains(t, stderr, "log-levle")
	require.Contains(t, stderr, "colour")

	file = writeConfig(t, t.TempDir(), "log-level = \"loud\"\nlog-format = \"xml\"\n[[listen]]\ntransport = \"unix\"\n[limits]\nmax-rate = -1\n")
	status, _, stderr := runCheck(file)
	require.Equal(t, 1, status)
	for _, key := range []string{"log-level", "log-format", "listen 1", "limits.max-rate"} {
		require.Contains(t, stderr, key)
	}
}

func TestConfigFileIsFoundAndRead(t *testing.T) {
	dir := t.TempDir()
	status, _, stderr := runCheck(filepath.Join(dir, "nowhere.toml"))
	require.Equal(t, 1, status)
	require.Equal(t, "rudderpostd: open "+filepath.Join(dir, "nowhere.toml")+": no such file or directory\n", stderr)

	status, _, stderr = runCheck(dir)
	require.Equal(t, 1, status)
	require.Equal(t, "rudderpostd: "+dir+": it is a folder and no regular file\n", stderr)

	file := writeConfig(t, dir, oneSocket)
	require.NoError(t, os.Chmod(file, 0o646))
	status, _, stderr = runCheck(file)
	require.Equal(t, 1, status)
	require.Equal(t, "rudderpostd: "+file+": it can be written by any user (mode 0646); do: chmod o-w "+file+"\n", stderr)
}

func TestWrongCommandLineExitsWith2(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"config.toml"}, 2, `unexpected argument "config.toml"; a configuration file is given with -c`},
		{[]string{"-x"}, 2, "flag provided but not defined: -x"},
		{[]string{"-c"}, 2, "flag needs an argument: -c"},
		{[]string{"-h"}, 0, "-check"},
	} {
		var out, err bytes.Buffer
		require.Equal(t, c.status, run(c.args, &out, &err), "%v", c.args)
		require.Contains(t, err.String(), c.stderr)
		require.Empty(t, out.String())
	}
}
