package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// glossaryPackages are the packages whose exported types the glossary explains.
var glossaryPackages = []string{
	"wire", "loop", "transport", "transport/tlsconf", "mgr", "mgr/schema", "mgr/std", "access", "access/secrets", "audit", "audit/record",
	"hooks", "client",
}

// plainWords are words in names of types that mean what they mean in the Go standard library, or everywhere.
var plainWords = strings.Fields(`
	hearer sender watch
	doubtful mgr schemer applied cert change closer code config configurable decoder encoder error failure field hash host issued
	log none option options problem raw reason running server set sha256 sockets stats status summary sync use user value written
`)

// glossaryTerms returns the terms of docs/GLOSSARY.md in their order, and the titles of its tables.
func glossaryTerms(t *testing.T) (tables [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "docs", "GLOSSARY.md"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		switch cells := strings.Split(line, "|"); {
		case strings.HasPrefix(line, "## "):
			tables = append(tables, nil)
		case strings.HasPrefix(line, "|") && len(cells) == 4:
			term := strings.TrimSpace(cells[1])
			if term != "term" && term != "---" {
				tables[len(tables)-1] = append(tables[len(tables)-1], term)
			}
		}
	}
	return tables
}

// TestGlossaryHasOneLineForEachTerm: no term has two lines, and the terms of each table are in alphabetical order.
func TestGlossaryHasOneLineForEachTerm(t *testing.T) {
	seen := map[string]bool{}
	for _, terms := range glossaryTerms(t) {
		require.True(t, slices.IsSortedFunc(terms, func(a, b string) int {
			return strings.Compare(strings.ToLower(a), strings.ToLower(b))
		}), "%q is not in order", terms)
		for _, line := range terms {
			for term := range strings.SplitSeq(line, ", ") {
				require.False(t, seen[term], "%q has two lines", term)
				seen[term] = true
			}
		}
	}
	require.Greater(t, len(seen), 80)
}

// TestGlossaryHasTheTermsOfExportedTypes: the last word of each exported type is a term of the glossary, or a plain word.
func TestGlossaryHasTheTermsOfExportedTypes(t *testing.T) {
	known := map[string]bool{}
	for _, word := range plainWords {
		known[word] = true
	}
	for _, terms := range glossaryTerms(t) {
		for _, line := range terms {
			words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' })
			for _, word := range words {
				known[strings.ToLower(word)] = true
			}
		}
	}
	camel := regexp.MustCompile(`[A-Z]+[a-z0-9]*$`)
	for _, dir := range glossaryPackages {
		for _, name := range exportedTypes(t, filepath.Join(testkit.ModuleRoot(t), dir)) {
			word := strings.ToLower(camel.FindString(name))
			if !known[word] && !known[strings.TrimSuffix(word, "s")] {
				t.Errorf("%s.%s: docs/GLOSSARY.md does not explain %q", dir, name, word)
			}
		}
	}
}

// exportedTypes returns the names of the exported types of the package in dir.
func exportedTypes(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok && typ.Name.IsExported() {
					names = append(names, typ.Name.Name)
				}
			}
		}
	}
	return names
}
