package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
)

// DecodeStrict reads exactly one JSON object, or an array, into v, whose members have names in lower case. Unknown fields,
// wrong types, null and trailing data are FieldErrors that name the field where there is one.
func DecodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return describeJSON(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Invalid("", "unexpected data after the JSON value")
	}
	return checkMembers(bytes.TrimSpace(data))
}

// checkMembers refuses what encoding/json lets pass in a body that it has read: null, and names in other letter case.
func checkMembers(body []byte) error {
	switch body[0] {
	case 'n':
		return Invalid("", "the body must be a JSON object, not null")
	case '[':
		return nil
	}
	for quoted := range memberNames(body) {
		name := quoted[1 : len(quoted)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			var s string
			_ = json.Unmarshal(quoted, &s) // has been read before
			name = []byte(s)
		}
		if bytes.ContainsFunc(name, notInMember) {
			return Invalid(clip(string(name), 64), "unknown field; names are in lower case")
		}
	}
	return nil
}

// notInMember reports whether no name of ours has the character.
func notInMember(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }

// memberNames yields the names of an object's own members in their quotes. The object is well-formed.
func memberNames(object []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		depth, named := 0, false // whether the next string is a name
		for i := 0; i < len(object); i++ {
			switch object[i] {
			case '{', '[':
				depth++
				named = depth == 1
			case '}', ']':
				depth--
			case ',':
				named = depth == 1
			case '"':
				start := i
				for i++; object[i] != '"'; i++ {
					if object[i] == '\\' {
						i++
					}
				}
				if named && !yield(object[start:i+1]) {
					return
				}
				named = false
			}
		}
	}
}

// describeJSON puts what encoding/json reports in words that name the field and not the Go type.
func describeJSON(err error) error {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if te.Field == "" {
			return Invalid("", "the body must be a JSON object, not %s", article(te.Value))
		}
		return Invalid(te.Field, "must be %s, not %s", goKind(te.Type.Kind().String()), article(te.Value))
	}
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return Invalid(clip(strings.Trim(quoted, `"`), 64), "unknown field")
	}
	if errors.Is(err, errUUID) {
		return Invalid("", "an identifier is not a UUID")
	}
	if errors.Is(err, io.EOF) {
		return Invalid("", "the body is empty")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return Invalid("", "the JSON ends too early")
	}
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return Invalid("", "not valid JSON at byte %d: %s", se.Offset, strings.TrimPrefix(se.Error(), "json: "))
	}
	return Invalid("", "not valid JSON")
}

// goKind names the JSON type that a Go kind is read from.
func goKind(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case kind == "string":
		return "a string"
	case kind == "bool":
		return "true or false"
	case kind == "slice":
		return "an array"
	}
	return "an object"
}

func article(jsonType string) string {
	switch {
	case strings.HasPrefix(jsonType, "number "):
		return clip(jsonType[len("number "):], 32)
	case jsonType == "bool":
		return "true or false"
	case jsonType == "array", jsonType == "object":
		return "an " + jsonType
	}
	return "a " + jsonType
}

// text checks a string member: it must not hold NUL, which PostgreSQL cannot store, nor be longer than limit
// characters when that is positive.
func text(field, s string, limit int) error {
	if strings.ContainsRune(s, 0) {
		return Invalid(field, "must not contain the NUL character")
	}
	if limit > 0 && len(s) > limit && len([]rune(s)) > limit {
		return Invalid(field, "must have at most %d characters", limit)
	}
	return nil
}

// optionalUUID reads a string member; nil is absent, the empty string is not a UUID.
func optionalUUID(field string, p *string) (UUID, error) {
	if p == nil {
		return UUID{}, nil
	}
	u, err := ParseUUID(*p)
	if err != nil {
		return UUID{}, Invalid(field, "%q is not a UUID", clip(*p, 64))
	}
	return u, nil
}
