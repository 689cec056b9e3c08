package report

import (
	"reflect"
	"slices"
)

// Merge makes one result of several runs of the same thing.
func Merge(runs []*Result) *Result {
	if len(runs) == 1 {
		runs[0].Runs = 1
		return runs[0]
	}
	values := make([]reflect.Value, len(runs))
	for i, r := range runs {
		values[i] = reflect.ValueOf(r).Elem()
	}
	merged := &Result{}
	merge(reflect.ValueOf(merged).Elem(), values)
	merged.Runs, merged.EachRun = len(runs), runs
	return merged
}

// merge sets a value from its counterparts in the runs: by its type, as Result's comment says; anything that is neither a
// measurement nor a count is the same in all runs, or told by the last.
func merge(into reflect.Value, runs []reflect.Value) {
	switch into.Kind() {
	case reflect.Float64:
		numbers := make([]float64, len(runs))
		for i, r := range runs {
			numbers[i] = r.Float()
		}
		into.SetFloat(median(numbers))
	case reflect.Int64:
		for _, r := range runs {
			into.SetInt(into.Int() + r.Int())
		}
	case reflect.Map:
		for _, r := range runs {
			mergeCounts(into, r)
		}
	case reflect.Struct:
		for i := range into.NumField() {
			fields := make([]reflect.Value, len(runs))
			for k, r := range runs {
				fields[k] = r.Field(i)
			}
			merge(into.Field(i), fields)
		}
	case reflect.Pointer:
		present := slices.DeleteFunc(slices.Clone(runs), reflect.Value.IsNil)
		if len(present) == 0 {
			return
		}
		into.Set(reflect.New(into.Type().Elem()))
		for i := range present {
			present[i] = present[i].Elem()
		}
		merge(into.Elem(), present)
	default:
		into.Set(runs[len(runs)-1])
	}
}

// mergeCounts adds the counts of one map to those of another.
func mergeCounts(into, from reflect.Value) {
	sum, _ := into.Interface().(map[string]int64)
	for why, n := range from.Interface().(map[string]int64) {
		if sum == nil {
			sum = map[string]int64{}
			into.Set(reflect.ValueOf(sum))
		}
		sum[why] += n
	}
}

// median returns the middle one; of an even number, the mean of the two in the middle.
func median(numbers []float64) float64 {
	slices.Sort(numbers)
	n := len(numbers)
	return (numbers[(n-1)/2] + numbers[n/2]) / 2
}
