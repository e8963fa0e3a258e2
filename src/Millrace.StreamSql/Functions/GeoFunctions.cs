using System.Globalization;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>Geospatial functions over GeoJSON records and well-known text (coordinates are longitude, latitude).</summary>
internal static class GeoFunctions
{
    private const double EarthRadius = 6_371_008.8;

    public static readonly Dictionary<string, ScalarFunction> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
        ["CREATEPOINT"] = new(2, 2, false, CreatePoint),
        ["CREATELINESTRING"] = new(2, int.MaxValue, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => CreateShape(f, a, false, out r)),
        ["CREATEPOLYGON"] = new(3, int.MaxValue, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => CreateShape(f, a, true, out r)),
        ["ST_WITHIN"] = new(2, 2, false, Within),
        ["ST_OVERLAPS"] = new(2, 2, false, Overlaps),
        ["ST_INTERSECTS"] = new(2, 2, false, Intersects),
        ["ST_DISTANCE"] = new(2, 2, false, Distance),
    };

    private readonly record struct Point(double Longitude, double Latitude);

    /// <summary>A point, a line, or a polygon whose first ring is the outer one.</summary>
    private sealed record Shape(int Dimension, List<Point[]> Rings);

    private static void CreatePoint(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!ScalarFunctions.TryDouble(frame, arguments[0], out var latitude)
            || !ScalarFunctions.TryDouble(frame, arguments[1], out var longitude))
            return;
        if (Math.Abs(latitude) > 90 || Math.Abs(longitude) > 180)
        {
            frame.Fail("a point outside the globe");
            return;
        }

        var target = new JsonBuffer();
        target.Add("{\"type\":\"Point\",\"coordinates\":"u8);
        Add(target, new Point(longitude, latitude));
        target.Add((byte)'}');
        result = Value.OfBytes(Kind.Record, target.ToArray());
    }

    private static void Add(JsonBuffer target, Point point)
    {
        target.Add((byte)'[');
        target.Add(point.Longitude);
        target.Add((byte)',');
        target.Add(point.Latitude);
        target.Add((byte)']');
    }

    private static void CreateShape(Frame frame, ReadOnlySpan<Value> arguments, bool polygon, out Value result)
    {
        result = Value.Null;
        var target = new JsonBuffer();
        target.Add(polygon ? "{\"type\":\"Polygon\",\"coordinates\":[["u8 : "{\"type\":\"LineString\",\"coordinates\":["u8);
        for (var index = 0; index < arguments.Length; index++)
        {
            if (!TryShape(arguments[index], out var shape) || shape.Dimension != 0)
            {
                frame.Fail("CreateLineString and CreatePolygon expect points");
                return;
            }

            if (index > 0)
                target.Add((byte)',');
            Add(target, shape.Rings[0][0]);
        }

        target.Add(polygon ? "]]}"u8 : "]}"u8);
        result = Value.OfBytes(Kind.Record, target.ToArray());
    }

    private static bool TryShape(in Value value, out Shape shape)
    {
        if (value.IsText)
            return TryWellKnownText(Conversion.ToClrString(value), out shape);
        shape = null!;
        if (value.Kind != Kind.Record
            || !JsonText.TryGetField(value, "type"u8, out var type) || !type.IsText
            || !JsonText.TryGetField(value, "coordinates"u8, out var coordinates) || coordinates.Kind != Kind.Array)
            return false;
        var rings = new List<Point[]>();
        var dimension = Conversion.ToClrString(type).ToUpperInvariant() switch
        {
            "POINT" => 0,
            "LINESTRING" => 1,
            "POLYGON" => 2,
            _ => -1,
        };
        switch (dimension)
        {
            case 0:
                if (!TryPoint(coordinates, out var point))
                    return false;
                rings.Add([point]);
                break;
            case 1:
                if (!TryPoints(coordinates, out var line) || line.Length < 2)
                    return false;
                rings.Add(line);
                break;
            case 2:
                for (var elements = new ElementEnumerator(coordinates); elements.MoveNext();)
                {
                    if (elements.Value.Kind != Kind.Array || !TryPoints(elements.Value, out var ring) || ring.Length < 3)
                        return false;
                    rings.Add(ring);
                }

                if (rings.Count == 0)
                    return false;
                break;
            default:
                return false;
        }

        shape = new Shape(dimension, rings);
        return true;
    }

    /// <summary>POINT(x y), LINESTRING(x y, …), POLYGON((x y, …), …).</summary>
    private static bool TryWellKnownText(string text, out Shape shape)
    {
        shape = null!;
        var open = text.IndexOf('(', StringComparison.Ordinal);
        var body = text.AsSpan().TrimEnd();
        if (open < 0 || body[^1] != ')')
            return false;
        body = body[(open + 1)..^1].Trim();
        var dimension = text.AsSpan(0, open).Trim().ToString().ToUpperInvariant() switch
        {
            "POINT" => 0,
            "LINESTRING" => 1,
            "POLYGON" => 2,
            _ => -1,
        };
        var rings = new List<Point[]>();
        if (dimension < 2)
        {
            rings.Add(PointsOf(body));
        }
        else
        {
            if (body.Length < 2 || body[0] != '(' || body[^1] != ')')
                return false;
            foreach (var ring in body[1..^1].ToString().Split(')'))
                rings.Add(PointsOf(ring.AsSpan().TrimStart(" \t\r\n,(")));
        }

        var least = dimension switch { 0 => 1, 1 => 2, _ => 3 };
        if (dimension < 0 || rings.Exists(r => r.Length < least) || (dimension == 0 && rings[0].Length > 1))
            return false;
        shape = new Shape(dimension, rings);
        return true;
    }

    /// <summary>x y, x y, …; empty when it is not that.</summary>
    private static Point[] PointsOf(ReadOnlySpan<char> text)
    {
        var points = new List<Point>();
        foreach (var pair in text.ToString().Split(','))
        {
            if (pair.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is not [var x, var y]
                || !double.TryParse(x, NumberStyles.Float, CultureInfo.InvariantCulture, out var longitude)
                || !double.TryParse(y, NumberStyles.Float, CultureInfo.InvariantCulture, out var latitude))
                return [];
            points.Add(new Point(longitude, latitude));
        }

        return [.. points];
    }

    private static bool TryPoints(in Value array, out Point[] points)
    {
        var list = new List<Point>();
        points = [];
        for (var elements = new ElementEnumerator(array); elements.MoveNext();)
        {
            if (elements.Value.Kind != Kind.Array || !TryPoint(elements.Value, out var point))
                return false;
            list.Add(point);
        }

        points = [.. list];
        return true;
    }

    private static bool TryPoint(in Value array, out Point point)
    {
        point = default;
        if (!JsonText.TryGetElement(array, 0, out var x) || !JsonText.TryGetElement(array, 1, out var y)
            || !Conversion.TryToNumber(x, out var longitude) || !Conversion.TryToNumber(y, out var latitude))
            return false;
        point = new Point(
            longitude.Kind == Kind.Bigint ? longitude.Bits : longitude.Double,
            latitude.Kind == Kind.Bigint ? latitude.Bits : latitude.Double);
        return true;
    }

    private static bool TryTwo(Frame frame, ReadOnlySpan<Value> arguments, out Shape a, out Shape b)
    {
        b = null!;
        if (TryShape(arguments[0], out a) && TryShape(arguments[1], out b))
            return true;
        frame.Fail("a geospatial function expects GeoJSON points, lines or polygons");
        return false;
    }

    private static void Within(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryTwo(frame, arguments, out var inner, out var outer))
            return;
        if (outer.Dimension != 2)
        {
            frame.Fail("ST_WITHIN expects a polygon as its second argument");
            return;
        }

        result = Value.Of(IsWithin(inner, outer) ? 1L : 0L);
    }

    private static bool IsWithin(Shape inner, Shape outer)
    {
        foreach (var point in inner.Rings[0])
        {
            if (!Contains(outer, point))
                return false;
        }

        // A line between two points inside may still leave a polygon that is not convex.
        return inner.Dimension == 0 || !ProperlyCross(inner, outer);
    }

    private static void Intersects(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (TryTwo(frame, arguments, out var a, out var b))
            result = Value.Of(Touch(a, b) ? 1L : 0L);
    }

    private static void Overlaps(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryTwo(frame, arguments, out var a, out var b))
            return;
        if (a.Dimension == 2 && b.Dimension == 2)
            result = Value.Of(Touch(a, b) ? 1L : 0L);
        else
            frame.Fail("ST_OVERLAPS expects two polygons");
    }

    private static bool Touch(Shape a, Shape b)
    {
        if (b.Dimension == 2 && a.Rings[0].Any(p => Contains(b, p)))
            return true;
        if (a.Dimension == 2 && b.Rings[0].Any(p => Contains(a, p)))
            return true;
        if (a.Dimension == 0 && b.Dimension == 0)
            return a.Rings[0][0] == b.Rings[0][0];
        foreach (var (p, q) in Edges(a))
        {
            foreach (var (r, s) in Edges(b))
            {
                if (SegmentsMeet(p, q, r, s))
                    return true;
            }
        }

        return false;
    }

    private static bool ProperlyCross(Shape a, Shape b)
    {
        foreach (var (p, q) in Edges(a))
        {
            foreach (var (r, s) in Edges(b))
            {
                if (Side(p, q, r) * Side(p, q, s) < 0 && Side(r, s, p) * Side(r, s, q) < 0)
                    return true;
            }
        }

        return false;
    }

    private static IEnumerable<(Point From, Point To)> Edges(Shape shape)
    {
        foreach (var ring in shape.Rings)
        {
            if (ring.Length == 1)
                yield return (ring[0], ring[0]);
            for (var index = 1; index < ring.Length; index++)
                yield return (ring[index - 1], ring[index]);
            if (shape.Dimension == 2 && ring[0] != ring[^1])
                yield return (ring[^1], ring[0]);
        }
    }

    private static double Side(Point a, Point b, Point c)
        => ((b.Longitude - a.Longitude) * (c.Latitude - a.Latitude)) - ((b.Latitude - a.Latitude) * (c.Longitude - a.Longitude));

    private static bool SegmentsMeet(Point p, Point q, Point r, Point s)
    {
        var a = Side(p, q, r);
        var b = Side(p, q, s);
        var c = Side(r, s, p);
        var d = Side(r, s, q);
        if (a * b < 0 && c * d < 0)
            return true;
        return (a == 0 && OnSegment(p, q, r)) || (b == 0 && OnSegment(p, q, s))
            || (c == 0 && OnSegment(r, s, p)) || (d == 0 && OnSegment(r, s, q));
    }

    private static bool OnSegment(Point a, Point b, Point c)
        => c.Longitude >= Math.Min(a.Longitude, b.Longitude) && c.Longitude <= Math.Max(a.Longitude, b.Longitude)
            && c.Latitude >= Math.Min(a.Latitude, b.Latitude) && c.Latitude <= Math.Max(a.Latitude, b.Latitude);

    /// <summary>Inside the outer ring (its border included) and not inside a hole.</summary>
    private static bool Contains(Shape polygon, Point point)
    {
        for (var index = 0; index < polygon.Rings.Count; index++)
        {
            var ring = polygon.Rings[index];
            var border = false;
            var inside = false;
            for (int i = 0, j = ring.Length - 1; i < ring.Length; j = i++)
            {
                if (Side(ring[j], ring[i], point) == 0 && OnSegment(ring[j], ring[i], point))
                    border = true;
                if ((ring[i].Latitude > point.Latitude) != (ring[j].Latitude > point.Latitude)
                    && point.Longitude < ((ring[j].Longitude - ring[i].Longitude) * (point.Latitude - ring[i].Latitude)
                        / (ring[j].Latitude - ring[i].Latitude)) + ring[i].Longitude)
                    inside = !inside;
            }

            if (index == 0 && !inside && !border)
                return false;
            if (index > 0 && inside && !border)
                return false;
        }

        return true;
    }

    private static void Distance(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryTwo(frame, arguments, out var a, out var b))
            return;
        if (Touch(a, b))
        {
            result = Value.Of(0.0);
            return;
        }

        var least = double.MaxValue;
        foreach (var (p, q) in Edges(a))
        {
            foreach (var (r, s) in Edges(b))
            {
                least = Math.Min(least, Math.Min(ToSegment(p, r, s), ToSegment(q, r, s)));
                least = Math.Min(least, Math.Min(ToSegment(r, p, q), ToSegment(s, p, q)));
            }
        }

        result = Value.Of(least);
    }

    /// <summary>Distance to the nearest point of a segment, found on the plane that touches the globe at the point.</summary>
    private static double ToSegment(Point point, Point from, Point to)
    {
        if (from == to)
            return Haversine(point, from);
        var scale = Math.Cos(point.Latitude * Math.PI / 180);
        var ax = (from.Longitude - point.Longitude) * scale;
        var ay = from.Latitude - point.Latitude;
        var bx = (to.Longitude - point.Longitude) * scale;
        var by = to.Latitude - point.Latitude;
        var dx = bx - ax;
        var dy = by - ay;
        var share = Math.Clamp(-((ax * dx) + (ay * dy)) / ((dx * dx) + (dy * dy)), 0, 1);
        return Haversine(point, new Point(
            from.Longitude + ((to.Longitude - from.Longitude) * share),
            from.Latitude + ((to.Latitude - from.Latitude) * share)));
    }

    private static double Haversine(Point a, Point b)
    {
        var lat1 = a.Latitude * Math.PI / 180;
        var lat2 = b.Latitude * Math.PI / 180;
        var sinLat = Math.Sin((lat2 - lat1) / 2);
        var sinLon = Math.Sin((b.Longitude - a.Longitude) * Math.PI / 360);
        var h = (sinLat * sinLat) + (Math.Cos(lat1) * Math.Cos(lat2) * sinLon * sinLon);
        return 2 * EarthRadius * Math.Asin(Math.Min(1, Math.Sqrt(h)));
    }
}
