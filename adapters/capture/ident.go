package capture

import (
	"crypto/sha256"
	"strings"

	"github.com/lib/pq"

	"github.com/matric/matric-events/domain"
)

// tableName is a table's name in the catalog.
type tableName struct{ schema, name string }

// parseTable reads SCHEMA.TABLE or TABLE. A part in double quotes may hold dots.
func parseTable(s string) tableName {
	var parts []string
	for rest := s; ; {
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			if end := strings.Index(strings.ReplaceAll(quoted, `""`, "\x00\x00"), `"`); end >= 0 {
				parts = append(parts, strings.ReplaceAll(quoted[:end], `""`, `"`))
				if rest, ok = strings.CutPrefix(quoted[end+1:], "."); !ok {
					break
				}
				continue
			}
		}
		part, after, more := strings.Cut(rest, ".")
		parts = append(parts, part)
		if rest = after; !more {
			break
		}
	}
	if len(parts) == 1 {
		return tableName{"public", parts[0]}
	}
	return tableName{parts[0], strings.Join(parts[1:], ".")}
}

// String returns the name for people, and for what row identifiers are made of.
func (t tableName) String() string { return t.schema + "." + t.name }

// sql returns the name for a statement.
func (t tableName) sql() string { return quote(t.schema) + "." + quote(t.name) }

func quote(name string) string { return pq.QuoteIdentifier(name) }

// literal quotes a text for a statement.
func literal(s string) string { return strings.TrimSpace(pq.QuoteLiteral(s)) }

// spec is a column as a mapping names it: its name, and the keys into the JSON that it holds.
type spec struct {
	column string
	keys   []string
}

func parseSpec(s string) spec {
	parts := strings.Split(s, "->")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return spec{parts[0], parts[1:]}
}

// RowID returns the identifier of a row whose key is not a UUID: a UUID of version 8 (RFC 9562, section 5.8) that holds
// 122 bits of SHA-256 of the table's name (SCHEMA.TABLE), a colon and the key as text. The function capture_row_id in the
// database does the same.
func RowID(table, key string) domain.UUID {
	sum := sha256.Sum256([]byte(table + ":" + key))
	var id domain.UUID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// reference returns the name in the form that parseTable reads.
func (t tableName) reference() string {
	if strings.ContainsAny(t.schema, `."`) || strings.ContainsAny(t.name, `."`) {
		return t.sql()
	}
	return t.String()
}
