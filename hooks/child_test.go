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

// beChild is the environment's name that makes the test's own program a hook, and says of what kind.
const beChild = "RUDDERPOST_TEST_HOOK"

// process is the configuration of a hook that is the test's own program.
func process(t testing.TB, name, mode string) hooks.Config {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return hooks.Config{
		Name: name, Exec: []string{self, "$(touch x);`id`", "a b"}, Env: []string{beChild + "=" + mode, "GORACE=atexit_sleep_ms=1"},
		Parameters: wire.Value(`{ "of": "` + name + `" }`),
	}
}

// A spoken is what a hook and the daemon say, read without care.
type spoken = map[string]any

var stdin = bufio.NewReader(os.Stdin)

func hear() spoken {
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		os.Exit(0)
	}
	var s spoken
	if err := json.Unmarshal(line, &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	return s
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func encode(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func introduce(name, more string) {
	say(`{"introduce":{"commands":[{"name":"%s","summary":"A test's.","access":"read"%s}]}}`, name, more)
}

// beA is a hook's main. Each kind is called over there: the name of its one command is its own.
func beA(mode string) {
	if mode == "daemon" {
		beADaemon()
	}
	hello := hear()["hello"].(spoken)
	name := hello["name"].(string)
	switch mode {
	case "silent":
		hear()
	case "refuse":
		say(`{"refuse":"I want a folder"}`)
		return
	case "exit-at-once":
		fmt.Fprintln(os.Stderr, "no such module")
		os.Exit(7)
	case "invalid-introduction":
		say(`{"introduce":{"commands":[{"name":"x","access":"all"},{"name":"y","access":"read","arguments":{"oneOf":[]}},{"name":"Z","access":"read"}]}}`)
	case "unprintable-introduction":
		say(`{"introduce":{"commands":[{"name":"x","summary":"a\u001b[2J","access":"read"},{"name":"y","access":"read","arguments":{"properties":{"a\u202eb":{}}}},` +
			`{"name":"z","access":"read","returns":{"type":"string","enum":["a\nb"]}}]}}`)
	case "ten-thousand":
		var b strings.Builder
		for i := range 10000 {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"name":"c-%d","access":"read"}`, i)
		}
		say(`{"introduce":{"commands":[%s]}}`, b.String())
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
		request := hear()
		id, ok := request["id"]
		if !ok {
			continue // a cancel
		}
		answer(mode, hello, request, id)
	}
}

func answer(mode string, hello, request spoken, id any) {
	switch mode {
	case "echo":
		say(`{"id":%v,"result":0,"arguments":%s}`, id, encode(spoken{"hello": hello, "request": request, "argv": os.Args[1:], "env": os.Environ()}))
	case "with-schemas":
		say(`{"id":%v,"result":0,"arguments":%s}`, id, encode(request["arguments"].(spoken)["n"]))
	case "lie":
		say(`{"id":%v,"result":0,"arguments":%s}`, id, encode(strings.Repeat("[", 3)))
	case "result":
		say(`{"id":%v,"result":%s}`, id, encode(request["arguments"]))
	case "back", "changes":
		say(`{"call":"x","for":%v,"command":%s}`, id, encode(request["arguments"]))
		answered := hear()
		delete(answered, "call")
		say(`{"id":%v,"result":0,"arguments":%s}`, id, encode(answered))
		if mode == "changes" {
			os.Exit(1)
		}
	case "back-for-another":
		say(`{"call":1,"for":99,"command":"status-get"}`)
		first := hear()
		say(`{"call":2,"command":"status-get"}`)
		say(`{"id":%v,"result":0,"arguments":%s}`, id, encode([]any{first, hear()}))
	case "log":
		say(`{"log":"warn","text":"a line\nin two"}`)
		say(`{"log":"debug","text":%q}`, strings.Repeat("x", 5000))
		fmt.Fprintln(os.Stderr, "by stderr")
		say(`{"id":%v,"result":0}`, id)
	case "cancelled":
		fmt.Fprintln(os.Stderr, "it sleeps")
		said := hear()
		say(`{"log":"info","text":"heard %s"}`, strings.ReplaceAll(encode(said), `"`, ""))
		say(`{"id":%v,"result":499,"text":"as you like"}`, id)
	case "exit":
		os.Exit(5)
	case "slow":
		fmt.Fprintln(os.Stderr, "slowly now")
		time.Sleep(300 * time.Millisecond)
		say(`{"id":%v,"result":0,"text":"slowly"}`, id)
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
			say(`{"log":"error","text":"again"}`)
		}
	case "flood-stderr":
		chunk := strings.Repeat("x", 1<<20)
		for range 1024 {
			fmt.Fprint(os.Stderr, chunk)
		}
	case "flood-calls":
		for i := range 1 << 30 {
			say(`{"call":%d,"for":0,"command":"status-get"}`, i)
		}
	case "flood-calls-unread":
		for i := range 1 << 30 {
			say(`{"call":%d,"for":%v,"command":"status-get"}`, i, id)
		}
	case "wrong-id":
		say(`{"id":4711,"result":0}`)
	case "twice":
		say(`{"id":%v,"result":0}`, id)
		say(`{"id":%v,"result":0}`, id)
	case "no-json":
		say(`{"id":%v,,}`, id)
	case "duplicate-key":
		say(`{"id":%v,"id":%v,"result":0}`, id, id)
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
		say(`{"id":%v,"result":0}`, id)
		hang()
	}
}

// hang outlives the end of stdin.
func hang() {
	for {
		time.Sleep(time.Hour)
	}
}

// forks leaves a process behind that has this one's pipes, in its group or in one of its own.
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
