package record

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// Open opens a file of a log for reading. It decompresses gzip while it is read: a whole file, or parts of concatenated
// files. The memory that it uses does not depend on the size of the file. The caller closes the reader.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{Decompress(f), f}, nil
}

// Decompress returns a reader that decompresses each gzip member at the beginning of r or directly after another
// member, and returns all other bytes unchanged.
func Decompress(r io.Reader) io.Reader { return &decompressor{raw: bufio.NewReader(r)} }

// A decompressor is the reader of Decompress.
type decompressor struct {
	raw    *bufio.Reader
	member *gzip.Reader // the present member, or the last one
	state  gzipState
	err    error // the error that ended reading
}

// A gzipState is the state of a decompressor. TestCompressedLogIsVerified covers the transitions.
//
//	state        when                                             next state
//	atMember     the next two bytes are those of a gzip member     inMember
//	atMember     they are not, or r ends                          inPlain
//	inMember     the member ends and its checksum is right         atMember
//	inMember     the member is damaged or cut off                  inMember, with an error from then on
//	inPlain      the rest is read unchanged                       inPlain
type gzipState uint8

const (
	atMember gzipState = iota
	inMember
	inPlain
)

var gzipMagic = []byte{0x1f, 0x8b}

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	for d.err == nil {
		switch d.state {
		case atMember:
			d.begin()
		case inPlain:
			return d.raw.Read(p)
		case inMember:
			n, err := d.member.Read(p)
			switch {
			case errors.Is(err, io.EOF):
				d.state = atMember
			case err != nil:
				d.err = fmt.Errorf("the compressed part is damaged or cut off: %w", err)
			}
			if n > 0 {
				return n, nil
			}
		}
	}
	return 0, d.err
}

// begin looks at the next two bytes and changes the state.
func (d *decompressor) begin() {
	if magic, _ := d.raw.Peek(len(gzipMagic)); !bytes.Equal(magic, gzipMagic) {
		d.state = inPlain
		return
	}
	d.state = inMember
	var err error
	if d.member == nil {
		d.member, err = gzip.NewReader(d.raw)
	} else {
		err = d.member.Reset(d.raw)
	}
	if err != nil {
		d.err = fmt.Errorf("the compressed part is damaged or cut off: %w", err)
		return
	}
	d.member.Multistream(false)
}

// kinds are files that users take for a log by mistake, with their first bytes.
var kinds = []struct{ begin, text string }{
	{"\xfd7zXZ\x00", "it is compressed with xz; decompress it first (xz -dc FILE | steer audit verify -)"},
	{"\x28\xb5\x2f\xfd", "it is compressed with zstd; decompress it first (zstd -dc FILE | steer audit verify -)"},
	{"BZh", "it is compressed with bzip2; decompress it first (bzip2 -dc FILE | steer audit verify -)"},
	{"\x7fELF", "it is a program"},
	{"\x1f\x8b", "it was compressed twice; decompress it first"},
}

// kindOf describes a file without records by the beginning of its first line.
func kindOf(begin []byte) string {
	for _, kind := range kinds {
		if bytes.HasPrefix(begin, []byte(kind.begin)) {
			return kind.text
		}
	}
	if _, err := ParseHead(string(begin)); err == nil {
		return "it is the head of a log, which verify reads by itself; name the log"
	}
	return "it is no audit file"
}
