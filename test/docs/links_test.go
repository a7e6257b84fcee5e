package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// documents returns the Markdown files of the repository, with slashes, relative to root.
func documents(t *testing.T, root string) (paths []string) {
	t.Helper()
	for _, path := range repositoryFiles(t, root) {
		if strings.HasSuffix(path, ".md") && !strings.Contains(path, "testdata/") {
			paths = append(paths, path)
		}
	}
	require.Greater(t, len(paths), 50)
	return paths
}

// TestDocumentLinks: each link of a document leads to a file of the repository, and its anchor to a heading.
func TestDocumentLinks(t *testing.T) {
	root := testkit.ModuleRoot(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, document := range documents(t, root) {
		text, err := os.ReadFile(filepath.Join(root, document))
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") { // a URL
				continue
			}
			file := document
			if target != "" {
				file = path.Join(path.Dir(document), target)
			}
			_, err := os.Stat(filepath.Join(root, file))
			require.NoError(t, err, "%s: %s", document, m[1])
			if anchor != "" {
				require.Contains(t, anchors(t, filepath.Join(root, file)), anchor, "%s: %s", document, m[1])
			}
		}
	}
}

// anchors returns the anchors of the headings of a Markdown file, as GitHub makes them.
func anchors(t *testing.T, name string) (anchors []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading)))
	}
	return anchors
}
