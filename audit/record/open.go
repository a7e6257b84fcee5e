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

// Open opens a file of a log for reading. Parts of it that gzip has compressed are decompressed while they
// are read: the whole file, or some of several files that were concatenated. Memory does not grow with the
// size of the file or of what it decompresses to.
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

// Decompress returns a reader of what r holds, in which each gzip member at the beginning of r or behind
// another member is decompressed.
func Decompress(r io.Reader) io.Reader { return &decompressor{raw: bufio.NewReader(r)} }

// A decompressor is the reader of Decompress.
type decompressor struct {
	raw    *bufio.Reader
	member *gzip.Reader // the one that is read now, or that was read last
	state  gzipState
	err    error // why it ends
}

// A gzipState says where a decompressor is.
//
//	state        then                                             next state
//	atMember     the next two bytes are those of a gzip member     inMember
//	atMember     they are not, or there is nothing more            inPlain
//	inMember     the member ends and its checksum is right         atMember
//	inMember     the member is damaged or cut off                  inMember, for ever, with an error
//	inPlain      the rest is read as it is                         inPlain
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

// begin looks at what follows.
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

// kinds are files that are taken for a log by mistake, by how they begin.
var kinds = []struct{ begin, text string }{
	{"\xfd7zXZ\x00", "it is compressed with xz; decompress it first (xz -dc FILE | steer audit verify -)"},
	{"\x28\xb5\x2f\xfd", "it is compressed with zstd; decompress it first (zstd -dc FILE | steer audit verify -)"},
	{"BZh", "it is compressed with bzip2; decompress it first (bzip2 -dc FILE | steer audit verify -)"},
	{"\x7fELF", "it is a program"},
	{"\x1f\x8b", "it was compressed twice; decompress it first"},
}

// kindOf says what a file without records is, by its first line.
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
