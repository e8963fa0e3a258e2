using System.Text;

namespace Millrace.StreamSql.Json;

/// <summary>The paths that queries read from the events of one input, as a tree of names; each wanted path has a slot.</summary>
internal sealed class PathTree
{
    /// <summary>Slot of the event as a whole.</summary>
    public const int NoSlot = -1;

    public PathTree() => Root = new PathNode([], 0);

    public PathNode Root { get; }

    public int SlotCount { get; private set; }

    public int NodeCount { get; private set; } = 1;

    /// <summary>Adds a path; an empty one is the whole event.</summary>
    public int Add(ReadOnlySpan<string> parts)
    {
        var node = Root;
        foreach (var part in parts)
        {
            var name = Encoding.UTF8.GetBytes(part);
            var child = Array.Find(node.Children, c => c.Name.AsSpan().SequenceEqual(name));
            if (child is null)
            {
                child = new PathNode(name, NodeCount++);
                node.HasTwins |= Array.Exists(node.Children, c => JsonText.EqualsIgnoringCase(name, c.Name, c.IsAscii));
                node.Children = [.. node.Children, child];
            }

            node = child;
        }

        if (node.Slot == NoSlot)
            node.Slot = SlotCount++;
        return node.Slot;
    }

    /// <summary>The wanted paths, each at its slot.</summary>
    public string[][] ToPaths()
    {
        var paths = new string[SlotCount][];
        Collect(Root, []);
        return paths;

        void Collect(PathNode node, string[] path)
        {
            if (node.Slot != NoSlot)
                paths[node.Slot] = path;
            foreach (var child in node.Children)
                Collect(child, [.. path, Encoding.UTF8.GetString(child.Name)]);
        }
    }
}

/// <summary>One name in a <see cref="PathTree"/>.</summary>
internal sealed class PathNode(byte[] name, int id)
{
    public byte[] Name { get; } = name;

    public int Id { get; } = id;

    public bool IsAscii { get; } = Ascii.IsValid(name);

    public int Slot { get; set; } = PathTree.NoSlot;

    public PathNode[] Children { get; set; } = [];

    /// <summary>Two children differ in case only.</summary>
    public bool HasTwins { get; set; }
}
