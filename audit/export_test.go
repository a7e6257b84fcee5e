package audit

import "io/fs"

// What tests give a log instead of files.
type (
	File     = file
	HeadFile = headFile
	Storage  = storage
)

var (
	OpenFile    = osStorage.open
	OpenOn      = open
	OSStorage   = osStorage
	CurrentName = currentName
)

// OpenWith opens a log whose file another function opens.
func OpenWith(o Options, opener func(path string) (file, error)) (*Log, error) {
	s := osStorage
	s.open = opener
	return open(o, s)
}

// With returns a storage with other functions.
func (s storage) With(open func(string) (file, error), openHead func(string) (headFile, error), link func(string, fs.FileInfo) error) Storage {
	return storage{open, openHead, link}
}

// The functions of a storage.
func (s storage) Open(path string) (file, error)           { return s.open(path) }
func (s storage) OpenHead(path string) (headFile, error)   { return s.openHead(path) }
func (s storage) Link(path string, info fs.FileInfo) error { return s.link(path, info) }

const MaxHeld = maxHeld
