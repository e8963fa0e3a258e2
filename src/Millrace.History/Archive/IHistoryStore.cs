using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Where the files of the history lie: a local folder or an object store. Names are relative, with slashes. One writer; readers beside
/// it. What a call promises is durable when it returns; it throws <see cref="IOException"/> when the store cannot be reached.
/// </summary>
public interface IHistoryStore
{
    /// <summary>What the store is, for messages.</summary>
    string Name { get; }

    /// <summary>Names of the folders in a folder (<c>""</c> for the outermost), without the path before them, in order.</summary>
    IReadOnlyList<string> Folders(string folder);

    /// <summary>A small file as a whole; null when there is none.</summary>
    byte[]? Read(string name);

    /// <summary>
    /// The data files below a folder, by their names there. A store that cannot rename also tells of files that were never committed, or are replaced.
    /// </summary>
    IReadOnlyList<string> DataFiles(string folder);

    /// <summary>Something that changes with the file's content: asked before a cached copy is used. Null when there is none.</summary>
    string? MarkOf(string name);

    /// <summary>Opens a data file for reading by ranges; reads complete synchronously.</summary>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    ParquetSource Open(string name);

    /// <summary>Replaces a small file: at any moment there is the old one or the new one.</summary>
    void Replace(string name, ReadOnlySpan<byte> content);

    /// <summary>A local path to write a new data file to. It is nobody's file until <see cref="Stage"/> and <see cref="Publish"/>.</summary>
    string NewFile(string name);

    /// <summary>Takes over what was written to the local path, before the commit that names it.</summary>
    void Stage(string name);

    /// <summary>Lets a staged file appear under its name, after the commit; done before, it does nothing.</summary>
    void Publish(string name);

    /// <summary>Takes files out of sight of readers from outside, where the store can; they may be gone already.</summary>
    void Retire(IReadOnlyList<string> names);

    /// <summary>Deletes retired files for good; they may be gone already.</summary>
    void Delete(IReadOnlyList<string> names);

    /// <summary>Deletes a day's folder with its manifest, when no file of it is left.</summary>
    void DeleteFolder(string folder);

    /// <summary>Deletes what was written and staged and never committed, and tells which of the known data files are there.</summary>
    /// <param name="known">Data files that manifests name.</param>
    IReadOnlySet<string> Sweep(IReadOnlySet<string> known);
}
