package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// reparse does not change text that isReadable accepts.
func FuzzReadable(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,"x y",true,null,-1.5]}`, `1e999`, `[1E5]`, `1234567890123456789`, `123456789012345678`, `"\u00e9"`, `[ 1]`, `"1e5 é"`, `[[[[]]]]`, `0.000000000000000001`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if (&parser{b: text}).whole() != nil || !isReadable(text) {
			return
		}
		got, err := reparse(nil, text, forKea)
		require.NoError(t, err)
		require.Equal(t, string(text), string(got))
	})
}
