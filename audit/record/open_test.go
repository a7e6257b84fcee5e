package record_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rudderpost/rudderpost/audit/record"

	"github.com/stretchr/testify/require"
)

// compressed returns a text compressed with gzip.
func compressed(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestCompressedLogIsVerified(t *testing.T) {
	log := newLog(9)
	line := bytes.SplitAfter(log.text, []byte("\n"))
	first, second, third := slices.Concat(line[:3]...), slices.Concat(line[3:6]...), slices.Concat(line[6:]...)
	dir := t.TempDir()
	write := func(name string, text ...[]byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, slices.Concat(text...), 0o600))
		return path
	}
	current := write("log", third)
	write("log.head", log.last.Append(nil))
	for name, paths := range map[string][]string{
		"a file each":                         {write("log.2.gz", compressed(t, first)), write("log.1.gz", compressed(t, second)), current},
		"one compressed, one not":             {write("log.2.gz", compressed(t, first)), write("plain", second), current},
		"two members in one file":             {write("both.gz", compressed(t, first), compressed(t, second)), current},
		"a member and then what is not":       {write("mixed", compressed(t, first), second), current},
		"compressed, with the name of a text": {write("log.1", compressed(t, slices.Concat(first, second))), current},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := record.VerifyFiles(paths...)
			require.NoError(t, err)
			require.Equal(t, record.Whole, s.Verdict())
			require.Equal(t, 9, s.Records)
		})
	}

	damaged := compressed(t, first)
	for name, text := range map[string][]byte{
		"cut off": damaged[:len(damaged)-9],
		"checked": append(bytes.Clone(damaged[:len(damaged)-8]), make([]byte, 8)...),
		"header":  {0x1f, 0x8b, 1, 2, 3},
	} {
		_, err := record.VerifyFiles(write("damaged.gz", text), current)
		require.ErrorContains(t, err, "damaged.gz: the compressed part is damaged or cut off", name)
	}
}

// zeros is an endless reader of zeros, which counts them.
type zeros struct {
	left, read int
	of         byte
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	for i := range p[:n] {
		p[i] = z.of
	}
	z.left -= n
	z.read += n
	return n, nil
}

// TestCompressedBombIsReadNoFurtherThanNeeded: a small file can decompress to an endless text.
func TestCompressedBombIsReadNoFurtherThanNeeded(t *testing.T) {
	for name, of := range map[string]byte{"one line": 'x', "empty lines": '\n', "zeros": 0} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bomb.gz")
			f, err := os.Create(path)
			require.NoError(t, err)
			w, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
			require.NoError(t, err)
			_, err = io.Copy(w, &zeros{left: 64 << 20, of: of})
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.NoError(t, f.Close())
			_, err = record.VerifyFiles(path)
			var none *record.NoRecordsError
			require.ErrorAs(t, err, &none)

			z := &zeros{left: 1 << 30, of: of}
			for _, err := range record.Read(z) {
				if err == nil {
					t.Fatal("a record?")
				}
				if of == '\n' {
					break
				}
			}
			require.Less(t, z.read, 4<<20)
			z = &zeros{left: 1 << 30, of: of}
			_, err = record.Verify(z, nil)
			require.ErrorAs(t, err, &none)
			require.Less(t, z.read, 4<<20)
		})
	}
}

func TestFileWithoutRecordsFailsAndSaysWhatItIs(t *testing.T) {
	log := newLog(2)
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"a configuration":     {[]byte("state-dir = \"run\"\n[[listen]]\ntransport = \"unix\"\n"), "it is no audit file"},
		"a program":           {append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 100<<10)...), "it is a program"},
		"xz":                  {[]byte("\xfd7zXZ\x00\x00\x04"), "it is compressed with xz; decompress it first"},
		"zstd":                {[]byte("\x28\xb5\x2f\xfd\x04"), "it is compressed with zstd"},
		"bzip2":               {[]byte("BZh91AY&SY"), "it is compressed with bzip2"},
		"gzip in gzip":        {compressed(t, compressed(t, log.text)), "it was compressed twice"},
		"a head":              {log.last.Append(nil), "it is the head of a log, which verify reads by itself"},
		"nothing":             {nil, "it is empty"},
		"nothing, compressed": {compressed(t, nil), "it is empty"},
		"other JSON":          {[]byte("{\"a\":1}\n{\"b\":2}\n"), "it is no audit file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(path, c.text, 0o600))
			s, err := record.VerifyFiles(path)
			require.ErrorContains(t, err, "file: no records: "+c.says)
			verdict, ok := record.VerdictOf(&s, err)
			require.True(t, ok)
			require.Equal(t, record.NoRecords, verdict)

			good := filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.WriteFile(good, log.text, 0o600))
			if c.text != nil && name != "nothing, compressed" {
				_, err = record.VerifyFiles(good, path)
				require.ErrorContains(t, err, "file: no records: "+c.says)
			}
		})
	}
}
