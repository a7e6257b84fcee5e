package hooks_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// hookModeEnv is the environment variable that makes the test program a hook. Its value is the mode of the hook.
const hookModeEnv = "RUDDERPOST_TEST_HOOK"

// process returns the configuration of a hook that is the test program.
func process(t testing.TB, name, mode string) hooks.Config {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return hooks.Config{
		Name: name, Exec: []string{self, "$(touch x);`id`", "a b"}, Env: []string{hookModeEnv + "=" + mode, "GORACE=atexit_sleep_ms=1"},
		Parameters: wire.Value(`{ "of": "` + name + `" }`),
	}
}

// A frame is a decoded frame, with no checks.
type frame = map[string]any

var stdin = bufio.NewReader(os.Stdin)

func receive() frame {
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		os.Exit(0)
	}
	var s frame
	if err := json.Unmarshal(line, &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	return s
}

func send(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func encode(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func introduce(name, more string) {
	send(`{"introduce":{"commands":[{"name":"%s","summary":"A test's.","access":"read"%s}]}}`, name, more)
}

// runHook is the main function of a hook in a mode. The hook registers one command, whose name is Config.Name.
func runHook(mode string) {
	if mode == "daemon" {
		runDaemon()
	}
	hello := receive()["hello"].(frame)
	name := hello["name"].(string)
	switch mode {
	case "silent":
		receive()
	case "refuse":
		send(`{"refuse":"I want a folder"}`)
		return
	case "exit-at-once":
		fmt.Fprintln(os.Stderr, "no such module")
		os.Exit(7)
	case "invalid-introduction":
		send(`{"introduce":{"commands":[{"name":"x","access":"all"},{"name":"y","access":"read","arguments":{"oneOf":[]}},{"name":"Z","access":"read"}]}}`)
	case "unprintable-introduction":
		send(`{"introduce":{"commands":[{"name":"x","summary":"a\u001b[2J","access":"read"},{"name":"y","access":"read","arguments":{"properties":{"a\u202eb":{}}}},` +
			`{"name":"z","access":"read","returns":{"type":"string","enum":["a\nb"]}}]}}`)
	case "ten-thousand":
		var b strings.Builder
		for i := range 10000 {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"name":"c-%d","access":"read"}`, i)
		}
		send(`{"introduce":{"commands":[%s]}}`, b.String())
	case "chatter":
		fmt.Println("starting up")
	case "take":
		introduce("status-get", "")
	case "deaf":
		introduce(name, "")
		hang()
	case "changes":
		introduce(name+"-"+strconv.Itoa(os.Getpid()), "")
	case "with-schemas":
		introduce(name, `,"arguments":{"type":"object","properties":{"n":{"type":"integer","minimum":1},"key":{"type":"string","writeOnly":true}},"required":["n"],"additionalProperties":false},"returns":{"type":"integer"},"examples":[{"n":1}]`)
	default:
		introduce(name, "")
	}
	for {
		request := receive()
		id, ok := request["id"]
		if !ok {
			continue // a cancel
		}
		answer(mode, hello, request, id)
	}
}

func answer(mode string, hello, request frame, id any) {
	switch mode {
	case "echo":
		send(`{"id":%v,"result":0,"arguments":%s}`, id, encode(frame{"hello": hello, "request": request, "argv": os.Args[1:], "env": os.Environ()}))
	case "with-schemas":
		send(`{"id":%v,"result":0,"arguments":%s}`, id, encode(request["arguments"].(frame)["n"]))
	case "lie":
		send(`{"id":%v,"result":0,"arguments":%s}`, id, encode(strings.Repeat("[", 3)))
	case "result":
		send(`{"id":%v,"result":%s}`, id, encode(request["arguments"]))
	case "back", "changes":
		send(`{"call":"x","for":%v,"command":%s}`, id, encode(request["arguments"]))
		answered := receive()
		delete(answered, "call")
		send(`{"id":%v,"result":0,"arguments":%s}`, id, encode(answered))
		if mode == "changes" {
			os.Exit(1)
		}
	case "back-for-another":
		send(`{"call":1,"for":99,"command":"status-get"}`)
		first := receive()
		send(`{"call":2,"command":"status-get"}`)
		send(`{"id":%v,"result":0,"arguments":%s}`, id, encode([]any{first, receive()}))
	case "log":
		send(`{"log":"warn","text":"a line\nin two"}`)
		send(`{"log":"debug","text":%q}`, strings.Repeat("x", 5000))
		fmt.Fprintln(os.Stderr, "by stderr")
		send(`{"id":%v,"result":0}`, id)
	case "cancelled":
		fmt.Fprintln(os.Stderr, "it sleeps")
		received := receive()
		send(`{"log":"info","text":"received %s"}`, strings.ReplaceAll(encode(received), `"`, ""))
		send(`{"id":%v,"result":499,"text":"as you like"}`, id)
	case "exit":
		os.Exit(5)
	case "slow":
		fmt.Fprintln(os.Stderr, "slowly now")
		time.Sleep(300 * time.Millisecond)
		send(`{"id":%v,"result":0,"text":"slowly"}`, id)
	case "hang":
		select {}
	case "sleep":
		time.Sleep(time.Hour)
	case "flood":
		chunk := strings.Repeat("x", 1<<20)
		fmt.Printf(`{"id":%v,"result":0,"text":"`, id)
		for range 1024 {
			fmt.Print(chunk)
		}
	case "flood-blanks":
		for chunk := strings.Repeat(" \n", 32<<10); ; {
			fmt.Print(chunk)
		}
	case "flood-comment":
		fmt.Print("/* ")
		for chunk := strings.Repeat("x", 64<<10); ; {
			fmt.Print(chunk)
		}
	case "flood-logs":
		for range 1 << 30 {
			send(`{"log":"error","text":"again"}`)
		}
	case "flood-stderr":
		chunk := strings.Repeat("x", 1<<20)
		for range 1024 {
			fmt.Fprint(os.Stderr, chunk)
		}
	case "flood-calls":
		for i := range 1 << 30 {
			send(`{"call":%d,"for":0,"command":"status-get"}`, i)
		}
	case "flood-calls-unread":
		for i := range 1 << 30 {
			send(`{"call":%d,"for":%v,"command":"status-get"}`, i, id)
		}
	case "wrong-id":
		send(`{"id":4711,"result":0}`)
	case "twice":
		send(`{"id":%v,"result":0}`, id)
		send(`{"id":%v,"result":0}`, id)
	case "no-json":
		send(`{"id":%v,,}`, id)
	case "duplicate-key":
		send(`{"id":%v,"id":%v,"result":0}`, id, id)
	case "introduce-again":
		introduce("again", "")
	case "stop":
		stopSelf()
	case "fork":
		forks(false)
		os.Exit(0)
	case "fork-away":
		forks(true)
		os.Exit(0)
	case "ignore-term":
		signalsIgnored()
		send(`{"id":%v,"result":0}`, id)
		hang()
	}
}

// hang ignores the end of stdin.
func hang() {
	for {
		time.Sleep(time.Hour)
	}
}

// forks starts a process that has the same pipes, in the same process group or in a new one.
func forks(away bool) {
	cmd := exec.Command("/bin/sleep", "100")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if away {
		inNewSession(cmd)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "left %d\n", cmd.Process.Pid)
}
