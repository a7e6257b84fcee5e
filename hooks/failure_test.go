package hooks_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// TestFailureOfAHookReachesTheCallerAsError: the hook's reply (without its id) on the left, the caller's on the right.
func TestFailureOfAHookReachesTheCallerAsError(t *testing.T) {
	bad := func(why string) string {
		return `{"result":500,"text":"the hook 'fake' returned what it must not: ` + why + `","error":{"code":"bad-hook-reply"}}`
	}
	for hook, want := range map[string]string{
		`"result":4`:               `{"result":4,"text":"conflict","error":{"code":"conflict"}}`,
		`"result":1000,"text":"a"`: `{"result":1000,"text":"a","error":{"code":"result-1000"}}`,
		`"result":4,"text":"a","arguments":{"b":[1]}`:                            `{"result":4,"text":"a","error":{"code":"conflict","data":{"b":[1]}}}`,
		`"result":4,"text":"a","arguments":null`:                                 `{"result":4,"text":"a","error":{"code":"conflict","data":null}}`,
		`"result":4,"text":"a","error":{"code":"in-use","data":{"b":1}}`:         `{"result":4,"text":"a","error":{"code":"in-use","data":{"b":1}}}`,
		`"result":4,"text":"a","error":{"code":"in-use"},"arguments":[1]`:        `{"result":4,"text":"a","error":{"code":"in-use","data":[1]}}`,
		`"result":1,"text":"a","error":{"fields":[{"pointer":"/b","text":"c"}]}`: `{"result":1,"text":"a","error":{"code":"failed","fields":[{"pointer":"/b","text":"c"}]}}`,
		`"result":1,"error":null`:                                                `{"result":1,"text":"failed","error":{"code":"failed"}}`,
		`"result":3,"text":"a","arguments":[1]`:                                  `{"result":3,"text":"a","arguments":[1]}`,
		`"result":0,"arguments":[1]`:                                             `{"result":0,"arguments":[1]}`,

		`"result":0,"error":{"code":"in-use"}`:                          bad("an error with the result 0, which is no failure"),
		`"result":3,"error":{"code":"in-use"}`:                          bad("an error with the result 3, which is no failure"),
		`"result":1,"error":{"code":"In use"}`:                          bad("an error code that does not match ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ or has more than 64 bytes"),
		`"result":1,"error":{"code":"` + strings.Repeat("a", 65) + `"}`: bad("an error code that does not match ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ or has more than 64 bytes"),
		`"result":1,"arguments":1,"error":{"code":"a","data":2}`:        bad("a failure with arguments and error.data; one of them is enough"),
		`"result":1,"error":{"code":"a","data":18446744073709551616}`:   bad("the integer 18446744073709551616 has more than 64 bits, which Kea's clients cannot read"),
		`"result":1,"arguments":18446744073709551616`:                   bad("the integer 18446744073709551616 has more than 64 bits, which Kea's clients cannot read"),
		`"result":1,"arguments":` + nest(97):                            bad("the error's data is nested more than 96 levels deep, which Kea's clients cannot read"),
		`"result":1,"error":{"code":"a","data":` + nest(97) + `}`:       bad("the error's data is nested more than 96 levels deep, which Kea's clients cannot read"),
		`"result":1,"arguments":` + nest(96):                            `{"result":1,"text":"failed","error":{"code":"failed","data":` + nest(96) + `}}`,
		`"result":0,"arguments":` + nest(97):                            `{"result":0,"arguments":` + nest(97) + `}`,
	} {
		withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *fakeProcess) {
			require.NoError(t, d.load(fakeHook))
			got, err := wire.AppendReply(nil, withoutID(d.ask("act", "")))
			require.NoError(t, err)
			require.Equal(t, want, string(got), hook)
			require.Zero(t, d.status("fake").Restarts)
		}, func(a *fakeProcess) {
			a.introduce("act")
			for request := a.receive(); request != nil; request = a.receive() {
				a.send(`{"id":%v,%s}`, request["id"], hook)
			}
		})
	}
}

func nest(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func withoutID(r wire.Reply) wire.Reply {
	r.ID = wire.ID{}
	return r
}

// An unknown member of error ends the hook, as any other unknown member does.
func TestUnknownMemberOfAnErrorEndsTheHook(t *testing.T) {
	withFakeProcesses(t, func(t *testing.T, d *daemon, _ func() []time.Duration, _ func() *fakeProcess) {
		require.NoError(t, d.load(fakeHook))
		require.ErrorIs(t, d.ask("act", "").Err(), &wire.Error{Code: wire.CodeShuttingDown, Word: "hook-down"})
		synctest.Wait()
		require.Contains(t, d.status("fake").LastError, "it wrote a frame that is none of the protocol")
	}, func(a *fakeProcess) {
		a.introduce("act")
		a.send(`{"id":%v,"result":1,"error":{"code":"a","text":"b"}}`, a.receive()["id"])
		a.receive()
	})
}
