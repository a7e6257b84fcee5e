package websocket_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// bye is the close frame after the last request.
const bye = "close 1000 the conn has ended: a request without an id is the last one\n"

// Each peer receives the same.
const seen = `text {"id": 1}
big true
fragments {"id": 3}
pong
many true
text {}
` + bye +
	`text {"result":1,"text":"frame is longer than 100000 bytes"}
close 1009 frame is longer than 100000 bytes
text {"result":1,"text":"a binary message is no command; send the JSON as a text message"}
close 1003 a binary message is no command; send the JSON as a text message
no subprotocol []
` + bye + `status 400
status 401
status 401
status 403
`

// peer runs a program that connects to a listener, and returns its output.
func peer(t *testing.T, program string, args ...string) string {
	t.Helper()
	at := daemon()
	at.MaxFrame = echoMax
	l := listen(t, at)
	echo(t, l)
	said, err := exec.CommandContext(timeout(t), program, append(args, "ws://"+l.Addr().String()+"/")...).CombinedOutput()
	require.NoError(t, err, "%s", said)
	return string(said)
}

func TestPythonClient(t *testing.T) {
	python := "/usr/bin/python3" // Debian's, which has Debian's packages
	if _, err := os.Stat(python); err != nil {
		python = testkit.NeedProgram(t, "python3", "python3")
	}
	if exec.CommandContext(timeout(t), python, "-c", "import websockets").Run() != nil {
		testkit.SkipOrFail(t, "websockets is not installed for %s (Debian: python3-websockets)", python)
	}
	said := peer(t, python, "testdata/peer.py")
	require.Equal(t, "subprotocol rudderpost.v1 extensions []\n"+seen, said)
}

func TestNodeClient(t *testing.T) {
	node, npm := testkit.NeedProgram(t, "node", "nodejs"), testkit.NeedProgram(t, "npm", "npm")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/ws")))
	ctx, cancel := context.WithTimeout(timeout(t), testkit.Timeout)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if said, err := install.CombinedOutput(); err != nil {
		testkit.SkipOrFail(t, "npm cannot install ws: %s", string(said))
	}
	said := peer(t, node, dir+"/peer.js")
	said = strings.ReplaceAll(said, "no subprotocol text", "no subprotocol")
	said = strings.ReplaceAll(said, "fragments text", "fragments")
	said = strings.ReplaceAll(said, "pong x", "pong")
	require.Equal(t, "subprotocol rudderpost.v1 extensions \"\"\n"+seen, said)
}
