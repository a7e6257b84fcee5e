package transport

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	someObject = `{"a": [1, 2, {"b": []}], "c": ["x"]}`
	dhcp       = `{"Dhcp4": {"interfaces-config": {"interfaces": ["*"]},` + "\n"
	dhcpEnd    = "\"subnet4\": [{\"subnet\": \"192.0.2.0/24\"}]\n}}"
)

// blank is what a comment becomes.
func blank(comment string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return ' '
	}, comment)
}

// The cases of Kea's own unit tests of its framer, by their names there. Where Kea removes a
// comment, there are spaces here. The bytes are ours.
var keaCases = []struct {
	name string
	in   string
	want []string // the frames
	end  error    // nil: io.EOF
}{
	{"toElementTooSoon", "{\n", nil, &FrameError{Reason: CutOff, Discarded: 2}},
	{"badJSON", "{\n]\n", []string{"{\n]"}, nil}, // brackets are counted, not matched
	{"startWithBrace", someObject, []string{someObject}, nil},
	{"startWithSquareBracket", "[" + someObject + "]", []string{"[" + someObject + "]"}, nil},
	{"startWithWhitespace", " \t\r\r\n " + someObject, []string{someObject}, nil},
	{"emptyMap", "{}", []string{"{}"}, nil},
	{"emptyList", "[ ]", []string{"[ ]"}, nil},
	{"unexpectedFirstCharacter", "a {}", nil, &FrameError{Reason: BadFirstByte, Byte: 'a'}},
	{"unexpectedCharacter", " a {}", nil, &FrameError{Reason: BadFirstByte, Byte: 'a', Offset: 1}},
	{"stringFirst", `"s"`, nil, &FrameError{Reason: BadFirstByte, Byte: '"'}},
	{"stringBefore", `  "s"`, nil, &FrameError{Reason: BadFirstByte, Byte: '"', Offset: 2}},
	{"noOpeningBrace", `"k": 1}`, nil, &FrameError{Reason: BadFirstByte, Byte: '"'}},
	{"noOpeningSquareBracket", "1, 2]", nil, &FrameError{Reason: BadFirstByte, Byte: '1'}},
	{"string", `{"k": "}]}"}`, []string{`{"k": "}]}"}`}, nil},
	{"escape", `{"k": "\"}\\"}`, []string{`{"k": "\"}\\"}`}, nil},
	{"whiteSpaceBefore", "\t \n[ ]\n", []string{"[ ]"}, nil},
	{"bashCommentBefore", "#one\n  # \"two\n{ }\n", []string{"{ }"}, nil},
	{"cppCommentBefore", "//one\n  // \"two\n[3]\n", []string{"[3]"}, nil},
	{"multiLineCommentBefore", "/* one\n \"//* two **/\n {\"k\": 3}\n", []string{`{"k": 3}`}, nil},
	{"badCommentBefore", "/# one\n []", nil, &FrameError{Reason: BadComment, Byte: '#'}},
	{"bashComments", "{#o}\n\"k\"  # :\n: 1}", []string{"{" + blank("#o}") + "\n\"k\"  " + blank("# :") + "\n: 1}"}, nil},
	{"cppComments", "[//]\n1, /// 2\n3]", []string{"[" + blank("//]") + "\n1, " + blank("/// 2") + "\n3]"}, nil},
	{"multiLineComments", "[/* ]\n \"// x*y**/\n1]\n", []string{"[" + blank("/* ]\n \"// x*y**/") + "\n1]"}, nil},
	{"badComment", "[ /# x\n]", nil, &FrameError{Reason: BadComment, Byte: '#', Offset: 2}},
	{"trailing", "[1, 2] 3, 4]", []string{"[1, 2]"}, &FrameError{Reason: BadFirstByte, Byte: '3', Offset: 1}},
	{"bashComment4", dhcp + "# one }\n# two\n" + dhcpEnd,
		[]string{dhcp + blank("# one }\n# two\n") + dhcpEnd}, nil},
	{"bashCommentsInline4", dhcp + "\"t\": 1, # one }\n" + dhcpEnd,
		[]string{dhcp + "\"t\": 1, " + blank("# one }\n") + dhcpEnd}, nil},
	{"cppComments6", dhcp + "\"t\": 1, // one }\n" + dhcpEnd,
		[]string{dhcp + "\"t\": 1, " + blank("// one }\n") + dhcpEnd}, nil},
	{"multilineComments6", dhcp + "\"t\": 1, /* one }\n two \n * / \n*/\n" + dhcpEnd,
		[]string{dhcp + "\"t\": 1, " + blank("/* one }\n two \n * / \n*/\n") + dhcpEnd}, nil},
}

func TestKeaFeed(t *testing.T) {
	require.Len(t, keaCases, 29)
	for _, c := range keaCases {
		t.Run(c.name, func(t *testing.T) {
			want := c.end
			if want == nil {
				want = io.EOF
			}
			check := func(pieces ...[]byte) {
				t.Helper()
				frames, err := receiveAll(pieces...)
				require.Equal(t, c.want, frames)
				require.Equal(t, want, err)
			}
			check([]byte(c.in))
			check(bytewise([]byte(c.in))...)
			for cut := range len(c.in) + 1 {
				check(bytes.Clone([]byte(c.in[:cut])), []byte(c.in[cut:]))
			}
		})
	}
}

// The framer's messages in Kea's transcripts, and what stands before the byte that it dislikes.
func TestKeaFeedReportsBytes(t *testing.T) {
	for in, want := range map[string]FrameError{
		"hello":                  {Reason: BadFirstByte, Byte: 'h'},
		"\x00{}":                 {Reason: BadFirstByte},
		"\xef\xbb\xbf{}":         {Reason: BadFirstByte, Byte: 0xef},
		"\f{}":                   {Reason: BadFirstByte, Byte: '\f'},
		"\v{}":                   {Reason: BadFirstByte, Byte: '\v'},
		"}":                      {Reason: BadFirstByte, Byte: '}'},
		"/x {}":                  {Reason: BadComment, Byte: 'x'},
		"# \n/* */ /x":           {Reason: BadComment, Byte: 'x', Offset: 9},
		`{ / "k": 1}`:            {Reason: BadComment, Byte: ' ', Offset: 2},
		"{} \n  x":               {Reason: BadFirstByte, Byte: 'x', Offset: 4},
		"{ \"k\": 1 /* }":        {Reason: CutOff, Discarded: 9},
		" {\n# open\n \"k\"/":    {Reason: CutOff, Discarded: 8},
		"[\"\\":                  {Reason: CutOff, Discarded: 3},
		"/* 0 */ { \"c\": # x\n": {Reason: CutOff, Discarded: 8},
	} {
		for _, pieces := range [][][]byte{{[]byte(in)}, bytewise([]byte(in))} {
			_, err := receiveAll(pieces...)
			require.Equal(t, &want, err, "%q", in)
		}
	}
}
