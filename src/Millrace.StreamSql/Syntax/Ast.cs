using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Syntax;

internal abstract class Expr(int position)
{
    /// <summary>Where the expression starts in the script, in UTF-16 units.</summary>
    public int Position { get; } = position;

    /// <summary>Height of the tree; bounded, because everything that walks it recurses.</summary>
    public int Height { get; init; } = 1;
}

internal sealed class LiteralExpr(int position, Value value, string text) : Expr(position)
{
    public Value Value { get; } = value;

    public string Text { get; } = text;
}

internal readonly record struct PathPart(string Name, int Position);

internal sealed class PathExpr(PathPart[] parts) : Expr(parts[0].Position)
{
    public PathPart[] Parts { get; } = parts;
}

/// <summary>A field of an expression's result: f(x).name.</summary>
internal sealed class MemberExpr(Expr target, PathPart member) : Expr(target.Position)
{
    public Expr Target { get; } = target;

    public PathPart Member { get; } = member;
}

internal sealed class UnaryExpr(int position, string symbol, Expr operand) : Expr(position)
{
    public string Symbol { get; } = symbol;

    public Expr Operand { get; } = operand;
}

internal sealed class BinaryExpr(string symbol, Expr left, Expr right) : Expr(left.Position)
{
    public string Symbol { get; } = symbol;

    public Expr Left { get; } = left;

    public Expr Right { get; } = right;
}

/// <summary>a AND b AND …, a OR b OR …</summary>
internal sealed class LogicExpr(bool isAnd, List<Expr> operands) : Expr(operands[0].Position)
{
    public bool IsAnd { get; } = isAnd;

    public List<Expr> Operands { get; } = operands;
}

internal sealed class IsNullExpr(Expr operand, bool negated) : Expr(operand.Position)
{
    public Expr Operand { get; } = operand;

    public bool Negated { get; } = negated;
}

internal sealed class BetweenExpr(Expr operand, Expr low, Expr high, bool negated) : Expr(operand.Position)
{
    public Expr Operand { get; } = operand;

    public Expr Low { get; } = low;

    public Expr High { get; } = high;

    public bool Negated { get; } = negated;
}

internal sealed class InExpr(Expr operand, List<Expr> items, bool negated) : Expr(operand.Position)
{
    public Expr Operand { get; } = operand;

    public List<Expr> Items { get; } = items;

    public bool Negated { get; } = negated;
}

internal sealed class LikeExpr(Expr operand, Expr pattern, Expr? escape, bool negated) : Expr(operand.Position)
{
    public Expr Operand { get; } = operand;

    public Expr Pattern { get; } = pattern;

    public Expr? Escape { get; } = escape;

    public bool Negated { get; } = negated;
}

internal sealed class CaseExpr(int position, Expr? operand, List<(Expr When, Expr Then)> branches, Expr? otherwise) : Expr(position)
{
    public Expr? Operand { get; } = operand;

    public List<(Expr When, Expr Then)> Branches { get; } = branches;

    public Expr? Otherwise { get; } = otherwise;
}

internal sealed class CastExpr(int position, string name, Expr operand, SqlTypeName type, string typeText) : Expr(position)
{
    /// <summary>CAST or TRY_CAST as written.</summary>
    public string Name { get; } = name;

    public Expr Operand { get; } = operand;

    public SqlTypeName Type { get; } = type;

    public string TypeText { get; } = typeText;

    public bool OrNull { get; } = name.Equals("TRY_CAST", StringComparison.OrdinalIgnoreCase);
}

internal sealed class OverClause(int position)
{
    public int Position { get; } = position;

    public List<Expr> PartitionBy { get; } = [];

    public List<(Expr Key, bool Descending)> OrderBy { get; } = [];

    /// <summary>The arguments of LIMIT DURATION(unit, n).</summary>
    public CallExpr? Limit { get; set; }

    public Expr? When { get; set; }
}

internal sealed class CallExpr(int position, string name) : Expr(position)
{
    /// <summary>Name as written, with its prefix: <c>udf.scale</c>, <c>System.Timestamp</c>.</summary>
    public string Name { get; } = name;

    public List<Expr> Arguments { get; init; } = [];

    /// <summary>COUNT(*), LAG(*).</summary>
    public bool HasStar { get; init; }

    public int StarPosition { get; init; }

    public bool IsDistinct { get; init; }

    public OverClause? Over { get; set; }

    public bool Is(string name) => Name.Equals(name, StringComparison.OrdinalIgnoreCase);
}

internal sealed class SelectItem(int position)
{
    /// <summary>Where the item starts; of a star, the star itself.</summary>
    public int Position { get; } = position;

    /// <summary>Null for a star.</summary>
    public Expr? Expression { get; init; }

    public string? Alias { get; init; }

    /// <summary><c>path.*</c>; empty for a lone star.</summary>
    public PathPart[] StarPath { get; init; } = [];

    public bool IsStar => Expression is null;
}

internal sealed class SourceClause(PathPart name)
{
    public PathPart Name { get; } = name;

    public PathPart? Alias { get; set; }

    public Expr? TimestampBy { get; set; }

    public int TimestampPosition { get; set; }

    public List<Expr> TimestampOver { get; } = [];

    public List<Expr> PartitionBy { get; } = [];
}

internal enum LinkKind
{
    InnerJoin,
    LeftJoin,
    CrossApply,
    OuterApply,
}

/// <summary>A join or an APPLY behind the first source.</summary>
internal sealed class LinkClause(LinkKind kind, int position)
{
    public LinkKind Kind { get; } = kind;

    /// <summary>First word of the clause.</summary>
    public int Position { get; } = position;

    public bool IsApply => Kind >= LinkKind.CrossApply;

    public SourceClause? Source { get; init; }

    public Expr? On { get; init; }

    public CallExpr? Apply { get; init; }

    public PathPart ApplyAlias { get; init; }
}

internal abstract class Pattern
{
    public int Height { get; init; } = 1;
}

internal sealed class VariablePattern(string name) : Pattern
{
    public string Name { get; } = name;
}

internal sealed class SequencePattern(List<Pattern> items) : Pattern
{
    public List<Pattern> Items { get; } = items;
}

internal sealed class ChoicePattern(List<Pattern> items) : Pattern
{
    public List<Pattern> Items { get; } = items;
}

internal sealed class RepeatPattern(Pattern item, int least, bool many) : Pattern
{
    public Pattern Item { get; } = item;

    public int Least { get; } = least;

    public bool Many { get; } = many;
}

internal sealed class MatchClause(int position)
{
    public int Position { get; } = position;

    public CallExpr? Limit { get; set; }

    public List<Expr> PartitionBy { get; } = [];

    public List<(Expr Expression, string Name)> Measures { get; } = [];

    public Pattern? Pattern { get; set; }

    public List<(PathPart Name, Expr Condition)> Definitions { get; } = [];

    public PathPart? Alias { get; set; }
}

internal sealed class SelectClause(int position)
{
    public int Position { get; } = position;

    public bool IsDistinct { get; set; }

    public List<SelectItem> Items { get; } = [];

    public PathPart? Into { get; set; }

    public int IntoPosition { get; set; }

    public SourceClause Source { get; set; } = null!;

    public List<LinkClause> Links { get; } = [];

    public MatchClause? Match { get; set; }

    public Expr? Where { get; set; }

    public List<Expr>? GroupBy { get; set; }

    public Expr? Having { get; set; }

    public int HavingPosition { get; set; }
}

/// <summary>SELECT … UNION SELECT …; without branches it could not be parsed.</summary>
internal sealed class QueryClause
{
    public List<SelectClause> Branches { get; } = [];
}

internal sealed record StepClause(PathPart Name, QueryClause Query);

internal sealed record ColumnClause(string Name, SqlTypeName Type, string TypeText);

internal sealed record TableClause(PathPart Name, List<ColumnClause> Columns);

internal sealed class Script
{
    public List<TableClause> Tables { get; } = [];

    public List<StepClause> Steps { get; } = [];

    public List<QueryClause> Queries { get; } = [];
}
