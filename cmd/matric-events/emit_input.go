package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxItem bounds one event of the input; the hub takes no larger one.
const maxItem = 1 << 20

// emitInput reads events as JSON: one object per line, or one array of objects.
type emitInput struct {
	r        *bufio.Reader
	lines    int // read so far
	consumed int64
	array    *jsonArray // nil for lines
	started  bool
}

func newEmitInput(r io.Reader) *emitInput { return &emitInput{r: bufio.NewReaderSize(r, maxItem+2)} }

// next returns an object, valid until the next call, and where it stands, also when it returns an error other than io.EOF.
func (in *emitInput) next() (raw []byte, where string, err error) {
	if !in.started {
		in.started = true
		if err := in.start(); err != nil {
			return nil, "line 1", err
		}
	}
	if in.array != nil {
		return in.array.next()
	}
	for {
		line, err := in.r.ReadSlice('\n')
		in.consumed += int64(len(line))
		in.lines++
		where := fmt.Sprintf("line %d", in.lines)
		line = bytes.TrimSpace(line)
		switch {
		case len(line) > maxItem, errors.Is(err, bufio.ErrBufferFull):
			return nil, where, errors.New("longer than 1 MiB")
		case err != nil && !errors.Is(err, io.EOF):
			return nil, where, err
		case len(line) > 0:
			return line, where, nil // an error comes again with the next call
		case err != nil:
			return nil, where, err
		}
	}
}

// start passes over a byte order mark and empty lines, and looks which of the two forms follows.
func (in *emitInput) start() error {
	if mark, _ := in.r.Peek(3); bytes.Equal(mark, []byte("\uFEFF")) {
		_, _ = in.r.Discard(3)
	}
	for {
		c, err := in.r.ReadByte()
		if err != nil {
			return err
		}
		switch c {
		case '\n':
			in.lines++
		case ' ', '\t', '\r':
		case '[':
			in.array = newJSONArray(in.r, in.lines)
			return nil
		default:
			return in.r.UnreadByte()
		}
		in.consumed++
	}
}

// ready reports whether next would return at once, as far as that is known. When not, what was read so far should not
// wait for more.
func (in *emitInput) ready() bool {
	if in.array != nil {
		return in.r.Buffered() > 0 || in.array.ready()
	}
	buffered, _ := in.r.Peek(in.r.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}

// offset returns how many bytes of the input the objects returned so far take up.
func (in *emitInput) offset() int64 {
	if in.array != nil {
		return in.consumed + in.array.dec.InputOffset()
	}
	return in.consumed
}

// jsonArray reads the elements of an array whose opening bracket has been read.
type jsonArray struct {
	dec   *json.Decoder
	lines *lineFinder
	count int
	raw   json.RawMessage
}

func newJSONArray(r io.Reader, linesBefore int) *jsonArray {
	lines := &lineFinder{r: io.MultiReader(bytes.NewReader([]byte("[")), r), line: linesBefore + 1}
	return &jsonArray{dec: json.NewDecoder(lines), lines: lines}
}

func (a *jsonArray) next() (raw []byte, where string, err error) {
	if a.count == 0 {
		if _, err := a.dec.Token(); err != nil { // the bracket
			return nil, a.where(a.dec.InputOffset()), err
		}
	}
	a.count++
	if a.dec.More() {
		if err := a.dec.Decode(&a.raw); err != nil {
			return nil, a.where(a.faultOffset()), notEnd(err)
		}
		return a.raw, a.where(a.dec.InputOffset() - int64(len(a.raw))), nil
	}
	if _, err := a.dec.Token(); err != nil {
		return nil, a.where(a.faultOffset()), notEnd(err)
	}
	if _, err := a.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, a.where(a.dec.InputOffset()), errors.New("unexpected data after the array")
	}
	return nil, "", io.EOF
}

// ready reports whether what was read, and not returned, may hold another element, or the end.
func (a *jsonArray) ready() bool {
	rest, _ := io.ReadAll(a.dec.Buffered()) // reads memory
	return bytes.ContainsAny(rest, "}]")
}

func (a *jsonArray) where(offset int64) string {
	return fmt.Sprintf("item %d in line %d", a.count, a.lines.at(offset))
}

// faultOffset returns where the element starts that the decoder cannot read. The offset in the decoder's own error leaves
// out what it had passed over as tokens.
func (a *jsonArray) faultOffset() int64 {
	rest, _ := io.ReadAll(a.dec.Buffered()) // reads memory
	return a.dec.InputOffset() + int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n")))
}

// notEnd keeps an input that ends within the array from passing for one that is complete.
func notEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the array is not closed")
	}
	return err
}

// lineFinder knows in which line of what was read through it an offset lies. Offsets must not fall.
type lineFinder struct {
	r     io.Reader
	read  int64
	line  int     // of the last offset asked for
	feeds []int64 // offsets of the line feeds behind it
}

func (f *lineFinder) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			f.feeds = append(f.feeds, f.read+int64(i))
		}
	}
	f.read += int64(n)
	return n, err
}

func (f *lineFinder) at(offset int64) int {
	for len(f.feeds) > 0 && f.feeds[0] < offset {
		f.feeds = f.feeds[1:]
		f.line++
	}
	return f.line
}
