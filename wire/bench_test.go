package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

// A typical request, of 60 bytes.
const usual = `{"command":"lease4-get","arguments":{"a":[1,true]},"id":123}`

var usualReply = struct {
	Address string   `json:"address"`
	Port    int      `json:"port"`
	Up      bool     `json:"up"`
	Tags    []string `json:"tags"`
}{"192.0.2.1", 8080, true, []string{"a", "b"}}

// A typical request allocates only the command's name, and the reply with a Raw nothing.
func TestRequestAndReplyAllocateLittle(t *testing.T) {
	frame := []byte(usual)
	require.Len(t, frame, 60)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if _, bad := wire.DecodeRequest(frame); bad != nil {
			panic(bad)
		}
	}), 1.0)

	raw, err := wire.Encode(usualReply)
	require.NoError(t, err)
	dst := make([]byte, 0, 1024)
	reply := wire.Reply{ID: wire.IntID(7), Code: 1, Text: "a\n", Arguments: raw}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := wire.AppendReply(dst, reply); err != nil {
			panic(err)
		}
	}))

	arguments := wire.Value(`{"a":1,"b":{"c":[1,2,3]}}`)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !arguments.Valid() {
			panic("not valid")
		}
	}))
}

func BenchmarkDecodeRequest(b *testing.B) {
	large := []byte(`{"command":"a","arguments":[`)
	for i := 0; len(large) < 1<<20-100; i++ {
		large = fmt.Appendf(large, `{"address":"192.0.2.%d","state":%d,"text":"caf\u00e9 é"},`, i%256, i)
	}
	large = append(large, `{}]}`...)
	for _, size := range []struct {
		name  string
		frame []byte
	}{{"60B", []byte(usual)}, {"1MiB", large}} {
		b.Run(size.name, func(b *testing.B) {
			b.SetBytes(int64(len(size.frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, bad := wire.DecodeRequest(size.frame); bad != nil {
					b.Fatal(bad)
				}
			}
		})
	}
}

func BenchmarkAppendReply(b *testing.B) {
	raw, err := wire.Encode(usualReply)
	require.NoError(b, err)
	large := make([]any, 0, 1024)
	for range cap(large) {
		large = append(large, map[string]string{"text": strings.Repeat("x", 52)})
	}
	for _, test := range []struct {
		name      string
		arguments any
	}{{"Raw", raw}, {"struct", usualReply}, {"64KiB", large}, {"string", strings.Repeat("x", 64<<10)}} {
		b.Run(test.name, func(b *testing.B) {
			dst, err := wire.AppendReply(nil, wire.Reply{Arguments: test.arguments})
			require.NoError(b, err)
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = wire.AppendReply(dst[:0], wire.Reply{ID: wire.IntID(7), Arguments: test.arguments}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
