package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// A Head says which record is the last one, and the hash of its line.
type Head struct {
	Seq  uint64
	Hash Hash
}

// HeadSize is how long a Head is in its file. It never changes, so that it can be written over.
const HeadSize = 20 + 1 + 64 + 1

// HeadFile is the name of the file that has the head of a log.
func HeadFile(path string) string { return path + ".head" }

// Append appends the head as its file has it: the number in 20 digits, the hash, and a newline.
func (h Head) Append(dst []byte) []byte {
	var digits [20]byte
	for i, n := len(digits)-1, h.Seq; i >= 0; i, n = i-1, n/10 {
		digits[i] = byte('0' + n%10)
	}
	dst = append(append(dst, digits[:]...), ' ')
	return append(hex.AppendEncode(dst, h.Hash[:]), '\n')
}

// String is the number and the hash, as ParseHead takes them.
func (h Head) String() string { return fmt.Sprintf("%d %s", h.Seq, h.Hash) }

// ParseHead reads a head: a number and a hash.
func ParseHead(text string) (Head, error) {
	number, hash, _ := strings.Cut(strings.TrimSpace(text), " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	h := Head{Seq: seq}
	if err == nil {
		h.Hash, err = parseHash(hash)
	}
	if err != nil || hash == "" {
		return Head{}, fmt.Errorf("%.100q is no head, which is a number and a SHA-256", text)
	}
	return h, nil
}

// ReadHead reads the head of the log at path. It is nil where there is none.
func ReadHead(path string) (*Head, error) {
	text, err := os.ReadFile(HeadFile(path))
	text = text[:min(len(text), HeadSize)] // behind it stands which process holds the log
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(bytes.Trim(text, "\x00")) == 0: // zeros: a power cut left them
		return nil, nil
	case err != nil:
		return nil, err
	}
	head, err := ParseHead(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", HeadFile(path), err)
	}
	return &head, nil
}
